//! What a report says, in English and in Chinese.

use std::borrow::Cow;

use factotum_sdk::Fault;

/// A language that reports are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Chinese, simplified.
    Chinese,
}

/// What a chart counts cases by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The classifier's category.
    Category,
    /// How soon it must be answered.
    Priority,
    /// How the customer feels.
    Sentiment,
    /// What the customer writes in.
    Language,
    /// Where it came in.
    Channel,
    /// When it came in.
    Day,
}

/// The words of one language.
pub struct Words {
    /// The language's BCP 47 tag, for `lang`.
    pub tag: &'static str,
    /// The report's title when the caller gives none.
    pub title: &'static str,
    pub cases: &'static str,
    pub share: &'static str,
    pub total: &'static str,
    pub per_day: &'static str,
    pub pressing: &'static str,
    pub negative: &'static str,
    pub top_category: &'static str,
    pub period: &'static str,
    pub no_cases: &'static str,
    pub figures_sheet: &'static str,
    pub cases_sheet: &'static str,
    pub attention: &'static str,
    pub id: &'static str,
    pub opened: &'static str,
    pub subject: &'static str,
    pub times_in_utc: &'static str,
    pub table_of: &'static str,
    pub most: &'static str,
}

const ENGLISH: Words = Words {
    tag: "en",
    title: "Case report",
    cases: "Cases",
    share: "Share",
    total: "Total",
    per_day: "Cases per day",
    pressing: "Urgent or high priority",
    negative: "Negative sentiment",
    top_category: "Most frequent category",
    period: "Period",
    no_cases: "There are no cases in this report.",
    figures_sheet: "Figures",
    cases_sheet: "Cases",
    attention: "Newest urgent and high-priority cases",
    id: "Case",
    opened: "Opened (UTC)",
    subject: "Subject",
    times_in_utc: "Days and times are in UTC.",
    table_of: "Figures: ",
    most: "Most: ",
};

const CHINESE: Words = Words {
    tag: "zh",
    title: "工单报告",
    cases: "工单数",
    share: "占比",
    total: "合计",
    per_day: "日均工单",
    pressing: "紧急或高优先级",
    negative: "负面情绪",
    top_category: "最多的类别",
    period: "统计期间",
    no_cases: "本报告没有工单。",
    figures_sheet: "统计",
    cases_sheet: "工单",
    attention: "最新的紧急和高优先级工单",
    id: "工单号",
    opened: "创建时间（UTC）",
    subject: "主题",
    times_in_utc: "日期和时间均为 UTC。",
    table_of: "数据：",
    most: "最多：",
};

impl Language {
    /// The language of a BCP 47 tag; English when absent. Regions and scripts do not matter (RFC 4647, section 3.4).
    ///
    /// # Errors
    /// `invalid-input` for a language that reports are not written in.
    pub fn from_tag(tag: Option<&str>) -> Result<Self, Fault> {
        let Some(tag) = tag.map(str::trim).filter(|tag| !tag.is_empty()) else { return Ok(Self::English) };
        match tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "en" => Ok(Self::English),
            "zh" => Ok(Self::Chinese),
            _ => {
                let shown: String = tag.chars().take(40).collect();
                Err(Fault::invalid_input(format!(
                    "options.language is {shown:?}; reports are written in en and zh"
                ))
                .with_hint("set options.language to \"en\" or \"zh\""))
            }
        }
    }

    /// Its words.
    pub fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }

    fn pick(self, english: &'static str, chinese: &'static str) -> &'static str {
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }

    /// The heading of the figures by `kind`.
    pub fn heading(self, kind: Kind) -> &'static str {
        match kind {
            Kind::Category => self.pick("Cases by category", "按类别统计"),
            Kind::Priority => self.pick("Cases by priority", "按优先级统计"),
            Kind::Sentiment => self.pick("Cases by sentiment", "按情绪统计"),
            Kind::Language => self.pick("Cases by language", "按语言统计"),
            Kind::Channel => self.pick("Cases by channel", "按渠道统计"),
            Kind::Day => self.pick("Cases over time", "按时间统计"),
        }
    }

    /// The name of `kind`, as a column's head.
    pub fn column(self, kind: Kind) -> &'static str {
        match kind {
            Kind::Category => self.pick("Category", "类别"),
            Kind::Priority => self.pick("Priority", "优先级"),
            Kind::Sentiment => self.pick("Sentiment", "情绪"),
            Kind::Language => self.pick("Language", "语言"),
            Kind::Channel => self.pick("Channel", "渠道"),
            Kind::Day => self.pick("Day", "日期"),
        }
    }

    /// How people call `value`; a value that is none of the desk's words is shown as it is.
    pub fn label(self, kind: Kind, value: &str) -> Cow<'_, str> {
        let (english, chinese) = match (kind, value) {
            (_, "unknown") => ("Unknown", "未知"),
            (Kind::Category, "refund") => ("Refund", "退款"),
            (Kind::Category, "return_exchange") => ("Return or exchange", "退换货"),
            (Kind::Category, "delivery") => ("Delivery", "物流配送"),
            (Kind::Category, "order_change") => ("Order change", "订单修改"),
            (Kind::Category, "billing") => ("Billing", "账单"),
            (Kind::Category, "technical") => ("Technical", "技术问题"),
            (Kind::Category, "account") => ("Account", "账户"),
            (Kind::Category, "complaint") => ("Complaint", "投诉"),
            (Kind::Category, "praise") => ("Praise", "表扬"),
            (Kind::Category, "product_question") => ("Product question", "产品咨询"),
            (Kind::Category, "other") => ("Other", "其他"),
            (Kind::Priority, "urgent") => ("Urgent", "紧急"),
            (Kind::Priority, "high") => ("High", "高"),
            (Kind::Priority, "normal") => ("Normal", "普通"),
            (Kind::Priority, "low") => ("Low", "低"),
            (Kind::Sentiment, "positive") => ("Positive", "正面"),
            (Kind::Sentiment, "neutral") => ("Neutral", "中性"),
            (Kind::Sentiment, "negative") => ("Negative", "负面"),
            (Kind::Language, "en") => ("English", "英语"),
            (Kind::Language, "zh") => ("Chinese", "中文"),
            (Kind::Language, "de") => ("German", "德语"),
            (Kind::Language, "es") => ("Spanish", "西班牙语"),
            (Kind::Language, "fr") => ("French", "法语"),
            (Kind::Language, "ja") => ("Japanese", "日语"),
            (Kind::Language, "ko") => ("Korean", "韩语"),
            (Kind::Language, "und") => ("Undetermined", "无法确定"),
            (Kind::Channel, "web") => ("Web form", "网页表单"),
            (Kind::Channel, "mail") => ("Mail", "邮件"),
            (Kind::Channel, "chat") => ("Chat", "在线聊天"),
            (Kind::Channel, "social") => ("Social media", "社交媒体"),
            (Kind::Channel, "phone") => ("Phone", "电话"),
            _ => return Cow::Owned(value.to_owned()),
        };
        Cow::Borrowed(self.pick(english, chinese))
    }

    /// The name of the row that stands for `values` rare values.
    pub fn rest(self, values: usize) -> String {
        match self {
            Self::English => format!("{values} more values"),
            Self::Chinese => format!("其余 {values} 个值"),
        }
    }

    /// Says that the workbook's sheet of cases has the newest `shown` of `total`.
    pub fn newest_only(self, shown: &str, total: &str) -> String {
        match self {
            Self::English => {
                format!("The sheet of cases has the newest {shown} of {total}; the figures count them all.")
            }
            Self::Chinese => format!("工单表仅列出 {total} 个工单中最新的 {shown} 个；统计包含全部工单。"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for (tag, language) in [
            (None, Language::English),
            (Some(""), Language::English),
            (Some("en-GB"), Language::English),
            (Some("zh"), Language::Chinese),
            (Some("zh-Hans-CN"), Language::Chinese),
            (Some("ZH_cn"), Language::Chinese),
        ] {
            assert_eq!(Language::from_tag(tag).unwrap(), language, "{tag:?}");
        }
        assert_eq!(Language::from_tag(Some("fr")).unwrap_err().code, "invalid-input");
    }

    #[test]
    fn every_word_of_the_desk_has_a_name_in_both_languages() {
        let words = [
            (
                Kind::Category,
                "refund return_exchange delivery order_change billing technical account complaint praise product_question other unknown",
            ),
            (Kind::Priority, "urgent high normal low unknown"),
            (Kind::Sentiment, "positive neutral negative unknown"),
            (Kind::Language, "en zh und unknown"),
            (Kind::Channel, "web mail chat social phone unknown"),
        ];
        for (kind, values) in words {
            for value in values.split(' ') {
                assert!(
                    Language::English.label(kind, value).starts_with(|c: char| c.is_ascii_uppercase()),
                    "{value}"
                );
                assert!(!Language::Chinese.label(kind, value).is_ascii(), "{value}");
            }
        }
        assert_eq!(Language::Chinese.label(Kind::Category, "warranty"), "warranty");
    }
}
