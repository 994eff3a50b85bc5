//! The labels of a classification, in the order in which the model's columns stand.

/// Declares a label: an enum, its members in order, and its words in JSON.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $member:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize, serde::Serialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $member),+
        }

        impl $name {
            /// All members, in column order.
            pub const ALL: &'static [$name] = &[$($name::$member),+];

            /// The word that stands in JSON.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $($name::$member => $word),+ }
            }

            /// The column.
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

label! {
    /// What the customer wants.
    Category {
        /// Money back.
        Refund = "refund",
        /// To send something back or have it replaced.
        ReturnExchange = "return_exchange",
        /// Where a parcel is, or what became of it on the way.
        Delivery = "delivery",
        /// To change or cancel an order.
        OrderChange = "order_change",
        /// Invoices, charges, payment methods, coupons.
        Billing = "billing",
        /// Something does not work.
        Technical = "technical",
        /// Log-in, profile, membership, personal data.
        Account = "account",
        /// To be heard about bad service.
        Complaint = "complaint",
        /// To say thank you.
        Praise = "praise",
        /// A question before buying, or about use.
        ProductQuestion = "product_question",
        /// None of these.
        Other = "other",
    }
}

label! {
    /// How soon somebody must look, most urgent first.
    Priority {
        /// Safety, fraud, legal threat, outage, a deadline today.
        Urgent = "urgent",
        /// Anger, missing money, a repeated contact.
        High = "high",
        /// All other requests.
        Normal = "normal",
        /// Praise, and questions without time pressure.
        Low = "low",
    }
}

label! {
    /// The mood.
    Sentiment {
        /// Pleased.
        Positive = "positive",
        /// Matter-of-fact.
        Neutral = "neutral",
        /// Displeased.
        Negative = "negative",
    }
}

label! {
    /// The main language.
    Language {
        /// English.
        English = "en",
        /// Chinese, simplified or traditional.
        Chinese = "zh",
        /// Cannot be told, or another language.
        Undetermined = "und",
    }
}
