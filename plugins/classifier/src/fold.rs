//! Folding: the one spelling in which rules and the model see a text. Lower case, simplified Chinese characters, no
//! apostrophes, single spaces, and no letters drawn out (`sooooo` is `so`).

/// Folds a text. A text that is folded stays as it is.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut last = ' ';
    let mut run = 0_u32;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' && last.is_alphabetic() && chars.peek().is_some_and(|next| next.is_alphabetic()) {
            continue;
        }
        let c = match c {
            '\t' | '\r' => ' ',
            c if c.is_ascii() => c.to_ascii_lowercase(),
            c if is_han(c) => simplify(c),
            c => c.to_lowercase().next().unwrap_or(c),
        };
        if c == last && (c == ' ' || c == '\n') {
            continue;
        }
        run = if c == last { run + 1 } else { 0 };
        if run >= 2 && c.is_alphabetic() && c != 'w' {
            // The third of a kind: a drawn-out letter (but `www`). Take the second back.
            if run == 2 {
                out.pop();
            }
            continue;
        }
        out.push(c);
        last = c;
    }
    out
}

/// True for a Chinese character (CJK Unified Ideographs and extension A).
#[must_use]
pub const fn is_han(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}')
}

/// The simplified form of the traditional characters that are common in messages to a shop. A `match`, because the
/// compiler turns it into a binary search: this runs for every Chinese character of every message.
#[rustfmt::skip]
pub(crate) const fn simplify(c: char) -> char {
    match c {
        '來' => '来', '個' => '个', '們' => '们', '傷' => '伤', '價' => '价', '億' => '亿', '償' => '偿', '優' => '优',
        '兩' => '两', '務' => '务', '區' => '区', '員' => '员', '問' => '问', '單' => '单', '嗎' => '吗', '嚴' => '严',
        '圖' => '图', '報' => '报', '壓' => '压', '壞' => '坏', '實' => '实', '寫' => '写', '寬' => '宽', '專' => '专',
        '對' => '对', '導' => '导', '師' => '师', '帳' => '账', '帶' => '带', '幾' => '几', '庫' => '库', '後' => '后',
        '從' => '从', '愛' => '爱', '態' => '态', '應' => '应', '戶' => '户', '換' => '换', '損' => '损', '擇' => '择',
        '據' => '据', '斷' => '断', '時' => '时', '書' => '书', '會' => '会', '條' => '条', '業' => '业', '極' => '极',
        '標' => '标', '樣' => '样', '機' => '机', '檢' => '检', '歡' => '欢', '歲' => '岁', '殘' => '残', '氣' => '气',
        '沒' => '没', '測' => '测', '滿' => '满', '為' => '为', '無' => '无', '煙' => '烟', '熱' => '热', '燈' => '灯',
        '燒' => '烧', '現' => '现', '產' => '产', '畫' => '画', '當' => '当', '發' => '发', '盜' => '盗', '盤' => '盘',
        '確' => '确', '碼' => '码', '稅' => '税', '種' => '种', '積' => '积', '簽' => '签', '紅' => '红', '級' => '级',
        '結' => '结', '絡' => '络', '給' => '给', '經' => '经', '綠' => '绿', '網' => '网', '緊' => '紧', '線' => '线',
        '繫' => '系', '聯' => '联', '聲' => '声', '聽' => '听', '腦' => '脑', '與' => '与', '舊' => '旧', '萬' => '万',
        '藍' => '蓝', '處' => '处', '號' => '号', '衝' => '冲', '補' => '补', '裝' => '装', '親' => '亲', '覺' => '觉',
        '訂' => '订', '訊' => '讯', '許' => '许', '訴' => '诉', '詐' => '诈', '試' => '试', '話' => '话', '該' => '该',
        '認' => '认', '誤' => '误', '說' => '说', '請' => '请', '謝' => '谢', '證' => '证', '變' => '变', '讓' => '让',
        '讚' => '赞', '貨' => '货', '貴' => '贵', '買' => '买', '費' => '费', '資' => '资', '賠' => '赔', '賣' => '卖',
        '質' => '质', '賬' => '账', '輸' => '输', '轉' => '转', '辦' => '办', '這' => '这', '連' => '连', '週' => '周',
        '運' => '运', '過' => '过', '達' => '达', '遞' => '递', '遲' => '迟', '選' => '选', '還' => '还', '醫' => '医',
        '錄' => '录', '錢' => '钱', '錯' => '错', '鍵' => '键', '長' => '长', '開' => '开', '間' => '间', '關' => '关',
        '際' => '际', '險' => '险', '隱' => '隐', '隻' => '只', '雙' => '双', '雜' => '杂', '離' => '离', '難' => '难',
        '雲' => '云', '電' => '电', '靈' => '灵', '響' => '响', '頁' => '页', '頭' => '头', '題' => '题', '額' => '额',
        '顏' => '颜', '顯' => '显', '養' => '养', '館' => '馆', '騙' => '骗', '驗' => '验', '體' => '体', '麼' => '么',
        '黃' => '黄', '點' => '点', '齡' => '龄',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding() {
        assert_eq!(fold("I DON'T  want\tit"), "i dont want it");
        assert_eq!(fold("Sooooo goood!!!"), "so god!!!");
        assert_eq!(fold("訂單還沒發貨"), "订单还没发货");
        assert_eq!(fold("太太太太慢了"), "太慢了");
        let once = fold("It's  BAD 嗎");
        assert_eq!(fold(&once), once);
    }

    #[test]
    fn traditional_characters_become_simplified() {
        assert_eq!(fold("請問這個還有貨嗎"), "请问这个还有货吗");
        assert_eq!(fold("请问这个还有货吗"), "请问这个还有货吗");
    }
}
