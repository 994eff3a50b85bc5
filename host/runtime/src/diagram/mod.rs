//! Diagrams of flows, for people: as Mermaid's text, and as SVG with a layout of our own; with the path of a run on it.

mod graph;
mod host;
mod mermaid;
mod svg;

use factotum_flow::Flow;

use graph::{Tree, tree};

/// How a diagram is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiagramFormat {
    /// Mermaid's flowchart, a text.
    Mermaid,
    /// Scalable Vector Graphics 1.1.
    #[default]
    Svg,
}

impl DiagramFormat {
    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Mermaid => "text/vnd.mermaid; charset=utf-8",
            Self::Svg => "image/svg+xml",
        }
    }

    fn draw(self, tree: &Tree) -> String {
        match self {
            Self::Mermaid => mermaid::draw(tree),
            Self::Svg => svg::draw(tree),
        }
    }
}

impl std::str::FromStr for DiagramFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mermaid" => Ok(Self::Mermaid),
            "svg" => Ok(Self::Svg),
            _ => Err("a diagram is written as mermaid or svg".into()),
        }
    }
}

/// Draws a flow.
#[must_use]
pub fn diagram(flow: &Flow, format: DiagramFormat) -> String {
    format.draw(&tree(flow, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::How;

    const FLOW: &str = "
document: { dsl: '1.0.3', namespace: t, name: shop, version: '1.0.0', title: 'A \"shop\" <&>' }
do:
  - look: { call: crm/find, with: { id: 1 } }
  - which:
      switch:
        - large: { when: .n > 5, then: ask }
        - small: { then: end }
  - ask:
      try: [ { pay: { call: bank/pay, with: {} } } ]
      catch: { do: [ { note: { set: { a: 1 } } } ] }
  - both: { fork: { branches: [ { left: { wait: PT1S } }, { right: { wait: PT2S } } ] } }
  - each: { for: { in: '[1]' }, do: [ { one: { set: { b: 1 } } } ], then: exit }
";

    fn flow() -> Flow {
        Flow::parse(FLOW, "f.yaml").unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn mermaid_has_every_task_once_and_every_way() {
        let text = diagram(&flow(), DiagramFormat::Mermaid);
        for name in ["look", "which", "ask", "pay", "note", "both", "left", "right", "each", "one"] {
            assert_eq!(text.matches(&format!("<b>{name}</b>")).count(), 1, "{name}: {text}");
        }
        assert!(text.contains("|large|") && text.contains("subgraph"), "{text}");
        assert!(text.contains("#quot;shop#quot; #lt;#amp;#gt;"), "what people wrote is not markup: {text}");
    }

    #[test]
    fn svg_is_well_formed_and_shows_where_a_run_went() {
        let ran = [("/do/0/look", How::Completed), ("/do/2/ask/try/0/pay", How::Faulted)];
        let ran: Vec<_> = ran.iter().map(|(task, how)| ((*task).to_owned(), *how)).collect();
        let svg = DiagramFormat::Svg.draw(&tree(&flow(), &ran));
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
        assert_eq!(svg.matches("class=\"task done\"").count(), 1, "{svg}");
        assert_eq!(svg.matches("class=\"task failed\"").count(), 1);
        assert!(svg.contains("A &quot;shop&quot; &lt;&amp;&gt;") && !svg.contains("<&>"));
        assert!(!svg.contains("NaN"));
    }
}
