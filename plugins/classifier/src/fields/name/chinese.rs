//! Chinese names: a family name, one or two characters, a title perhaps. Where nothing announces a name, a stretch of
//! characters that stands alone must be one, and a list of words that begin like a family name keeps those out.

use crate::fold::is_han;

/// Family names of one character: the common ones of the mainland, Taiwan and Hong Kong, simplified and traditional;
/// without those that are far more often plain words.
#[rustfmt::skip]
const FAMILY: &str = "窦竇傅王李张刘陈杨黄赵周吴徐孙马胡朱郭何罗高林郑梁谢唐许冯宋韩邓彭曹曾田于肖潘袁董叶杜丁蒋程余吕魏蔡苏任卢沈姜姚崔钟谭\
    陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常汤康易乔赖文施洪季柳庄颜\
    倪柯殷詹耿关焦岳齐梅盛童霍刁卓裴温左葛祝柏苗甘樊路曲成鲁尤翁骆辛安翟祁靳凌蓝俞卜舒甄張陳劉楊黃趙吳孫馬羅鄭謝許馮\
    韓鄧葉蔣呂蘇盧鍾譚陸賈鄒龔萬錢嚴湯賴莊顏齊溫魯駱藍章蒲符屈谈荆单燕容戚尚谷卫宁艾贝闵佟涂阮宗胥计萧郁连桑桂池牛茅\
    娄危项纪屠蔺麻车宫包费岑雍嵇邢郎郗鄂咸籍查晏冀浦农晋楚闻莘隗封储糜松井富巫乌巴班仰秋仲伊仇栾厉戎祖束景幸司韶蓟印\
    宿怀索蒙苍申扶堵冉宰郦璩寿边扈郏柴瞿阎慕茹习古庾暨居衡弘匡寇禄阙欧沃蔚夔隆巩聂晁敖融冷阚简饶沙鞠丰巢蒯游竺权逯盖\
    桓尧占佘芦谌解褚鲍邬毕臧虞伏米奚刑隋單項紀衛寧貝談閔車費龐庞儲邊應鮑畢褟冼麥麦簡饒鞏聶歐遊權陰蕭鄔寶鳳凤";
/// Family names of two characters.
const COMPOUND: &[&str] = &[
    "欧阳", "歐陽", "司马", "司馬", "上官", "诸葛", "諸葛", "皇甫", "尉迟", "公孙", "慕容", "令狐", "端木",
    "夏侯", "司徒", "东方", "独孤", "南宫", "范姜", "张简", "張簡", "长孙", "宇文",
];
/// Titles that show a name wherever they stand.
const TITLES: &[&str] = &["先生", "女士", "小姐", "太太"];
/// Titles that do so only at the end of a stretch or before a telephone number: `李师傅` may be the courier too.
const WEAK_TITLES: &[&str] = &[
    "老师", "老師", "同学", "同學", "阿姨", "师傅", "師傅", "大爷", "大爺", "奶奶", "爷爷", "爺爺", "伯伯",
    "叔叔", "妈妈", "媽媽", "大姐", "大哥", "经理", "經理", "主任", "教授", "医生", "醫生",
];
/// What announces a name.
const BEFORE: &[&str] = &[
    "我叫",
    "我的名字是",
    "我的名字叫",
    "本人姓名",
    "姓名",
    "我是",
    "本人",
    "我姓",
    "联系人",
    "聯絡人",
    "收件人",
    "收货人",
    "收貨人",
    "客户",
    "客戶",
    "顾客",
    "顧客",
    "签名",
    "簽名",
    "来电人",
    "來電人",
    "来电",
    "家长",
    "家長",
    "订位人",
    "訂位人",
    "名字改为",
    "改名为",
];
/// Words that begin like a family name and are none, by their first two characters.
#[rustfmt::skip]
const NO_NAMES: &str = "厉害 厲害 周一 周二 周三 周四 周五 周六 周日 周末 周天 周边 周内 周围 谢谢 謝謝 谢啦 谢了 何时 何況 何况 何必 何处 高兴 高興 高级 方便 方案 方法 安排 安装 安裝 安全 安心 成功 成本 常用 常见 \
    常常 万一 萬一 万分 路上 路由 白色 白天 白白 黄色 黃色 蓝色 藍色 金额 金額 金色 单号 单价 单独 单子 单位 單號 程序 于是 向您 向你 麻烦 麻煩 麻利 解决 解決 解释 應該 计划 包裹 包装 \
    包邮 费用 費用 温馨 关于 连接 毛病 牛奶 马上 馬上 武汉 石头 司机 游戏 容易 项目 項目 严重 嚴重 文件 权限 冷冻 辛苦 简单 簡單 简直 曾经 沙发 丰巢 查询 查一 查下 游客 盖章 金钱 钱没 \
    钱呢 钱款 高清 江苏 江西 江湖 龙头 车票 车子 车上 怀疑 幸好 幸福 居然 古董 富裕 景点 封号 封面 包间 米饭 盛夏 左右 边上 印象 农历 宁可 宁愿 燕窝 容量 容器 富有 松动 占用 占位 解锁 \
    解绑 解约 毕竟 麦克 祖国 巴黎 池子 连续 连锁 连不 桂林 荆州 章程 单据 查收 查看 车间 车主 费心 关门 关机 关闭 路过 路人 田园 石家 金卡 高铁 高温 高手 雷人 雷同 蓝牙 藍牙 龙虾 黄瓜 \
    万能 万元 江浙 温度 盛世 童装 童鞋 梅雨 苗条 苗木 柏油 方形 向前 向上 向后 常年 常温 康复 文字 文化 施工 易碎 易损 乔迁 汤汁 汤锅 毛巾 毛衣 毛刺 顾客 祝好 祝您 祝你 祝贺 祝福 祝商 \
    卓越 霍乱 关税 关注 焦味 齐全 左侧 左边 左脚 葛根 成都 成年 成分 成交 成品 鲁莽 尤其 安卓 安静地 凌晨 舒服 舒适 任何 任务 任意 余额 余款 余下 程度 付款 付了 付费 付钱 夏天 夏季 夏款 \
    白屏 白条 石材 金属 史上 孔径 莫名 莫非 康师 季度 季节 颜色 顏色 詹姆 关联 岳父 岳母 马桶 胡说 胡扯 胡乱 郭嘉 林区 梁子 宋体 韩国 韩式 唐突 许多 許多 许久 冯唐 徐徐 孙子 孙女 朱红 \
    罗列 邓小 曹操 彭湃 曾有 田里 董事 袁大 潘多 于此 于今 余生 叶子 杜绝 丁点 蒋干 沈阳 姜片 崔促 钟头 钟表 谭木 陆续 陸續 范围 汪汪 廖廖 石化 贾宝 夏令 熊猫 秦皇 邱比 侯车 尹天 雷雨 \
    龙年 黎明 陶瓷 贺卡 武装 戴上 严格 严厉 严禁 莫要 向来 常客 汤圆";

/// True for a character that can be a family name.
pub fn is_family(c: char) -> bool {
    FAMILY.contains(c)
}

/// How many characters of a stretch are its family name; 0 when it does not start with one.
fn family(run: &str) -> usize {
    match run.chars().next() {
        Some(_) if COMPOUND.iter().any(|c| run.starts_with(c)) => 2,
        Some(c) if is_family(c) => 1,
        _ => 0,
    }
}

/// The stretch of Chinese characters at the start.
fn stretch(text: &str) -> &str {
    text.get(..text.find(|c| !is_han(c)).unwrap_or(text.len())).unwrap_or("")
}

/// True when a stretch that stands alone is a name: `张伟`, `欧阳娜娜`, `李女士`.
pub fn stands_alone(run: &str) -> bool {
    let count = run.chars().count();
    let family = family(run);
    if family == 0 || run.chars().any(|c| !is_han(c)) || "谢謝".chars().any(|c| run.matches(c).count() > 1)
    {
        return false;
    }
    if let Some(head) = TITLES.iter().chain(WEAK_TITLES).find_map(|title| run.strip_suffix(title)) {
        return (family..=family + 2).contains(&head.chars().count());
    }
    let two: String = run.chars().take(2).collect();
    let last = run.chars().next_back().unwrap_or(' ');
    (family + 1..=family + 2).contains(&count)
        && !NO_NAMES.split(' ').any(|word| word == two)
        && !"了吗呢吧啊呀的嗎么麼到不没着過过是在要".contains(last)
}

/// A name at the start of what a label or an introduction announced.
pub fn announced(text: &str) -> Option<String> {
    let run = stretch(text.trim_start());
    let family = family(run);
    if family == 0 {
        return None;
    }
    for title in TITLES.iter().chain(WEAK_TITLES) {
        let head = run.find(title).and_then(|at| run.get(..at)).map(|head| head.chars().count());
        if head.is_some_and(|count| (family..=family + 2).contains(&count)) {
            return run.get(..run.find(title)? + title.len()).map(str::to_owned);
        }
    }
    // Without a title the run itself must be the name, or be cut by a word that often follows one.
    let least = 3 * (family + 1);
    let cut = [
        "的", "我", "来", "想", "要", "在", "电", "手", "订", "您", "你", "反", "咨", "打", "说", "投", "于",
        "已", "地", "本", "收", "称", "是", "请", "询", "问", "之", "來", "電", "訂", "說", "請",
    ]
    .iter()
    .filter_map(|w| run.get(least..)?.find(w).map(|i| i + least))
    .min()
    .unwrap_or(run.len());
    let name = run.get(..cut)?;
    let two: String = name.chars().take(2).collect();
    ((family + 1..=family + 2).contains(&name.chars().count())
        && !NO_NAMES.split(' ').any(|word| word == two))
    .then(|| name.to_owned())
}

/// `我叫张伟`, `我是王女士`, `客户李先生来电`.
pub fn introduced(text: &str) -> Option<String> {
    for phrase in BEFORE {
        for (at, _) in text.match_indices(phrase).take(4) {
            let rest = text
                .get(at + phrase.len()..)
                .unwrap_or("")
                .trim_start_matches([':', ' ', '是', '“', '"', '「']);
            if let Some(name) = announced(rest) {
                return Some(name);
            }
        }
    }
    // A title shows a name anywhere: `王女士`.
    for title in TITLES {
        for (at, _) in text.match_indices(title).take(4) {
            let head = text.get(..at).unwrap_or("");
            let near: Vec<(usize, char)> = head.char_indices().rev().take(3).collect();
            let one = near.first().filter(|(_, c)| is_family(*c)).map(|(i, _)| *i);
            let two = near.get(1).map(|(i, _)| *i).filter(|i| head.get(*i..).is_some_and(|n| family(n) == 2));
            // With a first name: only where nothing else stands before it.
            let alone = near.iter().map(|(i, _)| *i).filter(|i| {
                let before = head.get(..*i).and_then(|h| h.chars().next_back());
                !before.is_some_and(is_han)
                    && head.get(*i..).is_some_and(|n| n.chars().all(is_han) && family(n) > 0)
            });
            if let Some(start) = alone.min().or(two).or(one) {
                return text.get(start..at + title.len()).map(str::to_owned);
            }
        }
    }
    None
}

/// A name right before a telephone number or an address: `林佳穎 0912-555-018`.
pub fn before_contact(head: &str) -> Option<String> {
    let head = head.trim_end_matches([' ', ',', ':', '、', '，', '(']);
    let start = head.char_indices().rev().take_while(|(_, c)| is_han(*c)).take(7).last().map(|(i, _)| i)?;
    let run = head.get(start..)?;
    stands_alone(run).then(|| run.to_owned())
}
