//! The desk's words in the words of people. What is no known word stays as it is.

use crate::sources::Language;

/// (word, English, Chinese)
const LABELS: &[(&str, &str, &str)] = &[
    ("refund", "Refund", "退款"),
    ("return_exchange", "Return or exchange", "退换货"),
    ("delivery", "Delivery", "物流配送"),
    ("order_change", "Change of an order", "修改订单"),
    ("billing", "Billing", "账单与支付"),
    ("technical", "Technical question", "技术问题"),
    ("account", "Account", "账户"),
    ("complaint", "Complaint", "投诉"),
    ("praise", "Praise", "表扬"),
    ("product_question", "Question about a product", "产品咨询"),
    ("other", "Other", "其他"),
    ("urgent", "Urgent", "紧急"),
    ("high", "High", "高"),
    ("normal", "Normal", "普通"),
    ("low", "Low", "低"),
    ("positive", "Positive", "积极"),
    ("neutral", "Neutral", "中性"),
    ("negative", "Negative", "消极"),
    ("web", "Web form", "网页表单"),
    ("mail", "Mail", "邮件"),
    ("chat", "Chat", "在线聊天"),
    ("social", "Social media", "社交媒体"),
    ("phone", "Phone", "电话"),
];

/// The label of `word`, or `word` itself.
pub(crate) fn label(word: &str, language: Language) -> String {
    let found = LABELS.iter().find(|(known, ..)| *known == word);
    match (found, language) {
        (Some((_, english, _)), Language::En) => (*english).to_owned(),
        (Some((_, _, chinese)), Language::Zh) => (*chinese).to_owned(),
        (None, _) => word.to_owned(),
    }
}
