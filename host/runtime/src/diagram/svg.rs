//! The diagram as SVG: lists of tasks from top to bottom, what runs at the same time side by side, jumps as curves on the
//! right.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::graph::{Group, Task, Tree};
use crate::rehearsal::How;

/// Sizes, in pixels.
const TASK: (u32, u32) = (250, 46);
const GAP: u32 = 26;
const PAD: u32 = 14;
const HEAD: u32 = 44;
const LABEL: u32 = 18;
const MARGIN: u32 = 24;
/// How far a curve goes to the right.
const CURVE: u32 = 46;

const STYLE: &str = "text{font-family:system-ui,'Noto Sans','Noto Sans CJK SC',sans-serif;font-size:13px;fill:#1f2328}\
.n{font-weight:600}.d,.l{font-size:11px;fill:#57606a}.task rect,.box>rect{fill:#fff;stroke:#8c959f}\
.box>rect{fill:#f6f8fa}.done rect,.box.done>rect{fill:#d7f0dd;stroke:#2e7d46}.failed rect,.box.failed>rect{fill:#fbd9d7;stroke:#b3261e}\
.skipped rect{stroke-dasharray:4}.w{fill:none;stroke:#57606a}";

/// A place: left, top, width, height.
type Place = (u32, u32, u32, u32);

/// Draws a tree. Writing to a string cannot fail.
pub(super) fn draw(tree: &Tree) -> String {
    let (width, height) = list_size(&tree.tasks);
    let width = width.max(TASK.0);
    let mut paper = Paper { body: String::new(), places: HashMap::new() };
    let top = MARGIN + 30;
    paper.list(&tree.tasks, MARGIN, top, width);
    let end = top + height + GAP;
    let middle = MARGIN + width / 2;
    paper.places.insert("end".to_owned(), (middle.saturating_sub(30), end, 60, 24));
    if tree.tasks.last().is_some_and(|last| last.goes_on) {
        paper.arrow(middle, end - GAP, end);
    }
    let _ = write!(
        paper.body,
        "<rect x=\"{}\" y=\"{end}\" width=\"60\" height=\"24\" rx=\"12\" fill=\"#eaeef2\" stroke=\"#8c959f\"/><text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" class=\"l\">end</text>",
        middle.saturating_sub(30),
        end + 16
    );
    paper.jumps(&tree.tasks);
    let (w, h) = (width + 2 * MARGIN + 2 * CURVE, end + 24 + MARGIN);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" role=\"img\"><title>{title}</title><style>{STYLE}</style><defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#57606a\"/></marker></defs><rect width=\"{w}\" height=\"{h}\" fill=\"#fff\"/><text x=\"{MARGIN}\" y=\"{y}\" class=\"n\">{title}</text>{body}</svg>\n",
        title = escaped(&tree.title),
        y = MARGIN + 10,
        body = paper.body,
    )
}

fn list_size(tasks: &[Task]) -> (u32, u32) {
    let sizes: Vec<(u32, u32)> = tasks.iter().map(size).collect();
    let width = sizes.iter().map(|(w, _)| *w).max().unwrap_or(0);
    let gaps = u32::try_from(sizes.len().saturating_sub(1)).unwrap_or(0) * GAP;
    (width, sizes.iter().map(|(_, h)| *h).sum::<u32>() + gaps)
}

fn size(task: &Task) -> (u32, u32) {
    if task.groups.is_empty() {
        return TASK;
    }
    let sizes: Vec<(u32, u32)> = task.groups.iter().map(group_size).collect();
    let width = sizes.iter().map(|(w, _)| *w).max().unwrap_or(0).max(TASK.0);
    (width + 2 * PAD, HEAD + sizes.iter().map(|(_, h)| *h + PAD).sum::<u32>())
}

fn group_size(group: &Group) -> (u32, u32) {
    let label = if group.label.is_empty() { 0 } else { LABEL };
    if group.beside {
        let sizes: Vec<(u32, u32)> = group.tasks.iter().map(size).collect();
        let gaps = u32::try_from(sizes.len().saturating_sub(1)).unwrap_or(0) * PAD;
        let height = sizes.iter().map(|(_, h)| *h).max().unwrap_or(0);
        return (sizes.iter().map(|(w, _)| *w).sum::<u32>() + gaps, height + label);
    }
    let (width, height) = list_size(&group.tasks);
    (width, height + label)
}

struct Paper {
    body: String,
    /// Where each task stands, by identifier.
    places: HashMap<String, Place>,
}

impl Paper {
    fn list(&mut self, tasks: &[Task], left: u32, top: u32, width: u32) {
        let mut y = top;
        for (index, task) in tasks.iter().enumerate() {
            let (w, h) = size(task);
            self.task(task, left + (width.saturating_sub(w)) / 2, y, w, h);
            y += h;
            if index + 1 < tasks.len() {
                if task.goes_on {
                    self.arrow(left + width / 2, y, y + GAP);
                }
                y += GAP;
            }
        }
    }

    fn task(&mut self, task: &Task, x: u32, y: u32, w: u32, h: u32) {
        self.places.insert(task.id.clone(), (x, y, w, h));
        let how = match task.how {
            Some(How::Completed) => " done",
            Some(How::Faulted) => " failed",
            Some(How::Skipped) => " skipped",
            None => "",
        };
        let class = if task.groups.is_empty() { "task" } else { "box" };
        let (tx, name, detail) = (x + 10, escaped(&task.name), escaped(&task.detail));
        let _ = write!(
            self.body,
            "<g class=\"{class}{how}\"><rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"6\"/><text x=\"{tx}\" y=\"{}\" class=\"n\">{name}</text><text x=\"{tx}\" y=\"{}\" class=\"d\">{detail}</text>",
            y + 19,
            y + 35
        );
        let mut inner = y + HEAD;
        for group in &task.groups {
            let (_, height) = group_size(group);
            let mut top = inner;
            if !group.label.is_empty() {
                let _ = write!(
                    self.body,
                    "<text x=\"{tx}\" y=\"{}\" class=\"l\">{}</text>",
                    top + 12,
                    group.label
                );
                top += LABEL;
            }
            if group.beside {
                let mut left = x + PAD;
                for branch in &group.tasks {
                    let (bw, bh) = size(branch);
                    self.task(branch, left, top, bw, bh);
                    left += bw + PAD;
                }
            } else {
                self.list(&group.tasks, x + PAD, top, w.saturating_sub(2 * PAD));
            }
            inner += height + PAD;
        }
        self.body.push_str("</g>");
    }

    fn arrow(&mut self, x: u32, from: u32, to: u32) {
        let _ = write!(self.body, "<path class=\"w\" marker-end=\"url(#a)\" d=\"M{x} {from}V{to}\"/>");
    }

    fn jumps(&mut self, tasks: &[Task]) {
        for task in tasks {
            for (nth, (word, target)) in (0_u32..).zip(&task.jumps) {
                let (Some(from), Some(to)) = (self.places.get(&task.id), self.places.get(target)) else {
                    continue;
                };
                let (x, y) = (from.0 + from.2, from.1 + 14 + (nth % 3) * 12);
                let (tx, ty) = (to.0 + to.2, to.1 + to.3.min(TASK.1) / 2);
                let bend = x.max(tx) + CURVE;
                let _ = write!(
                    self.body,
                    "<path class=\"w\" marker-end=\"url(#a)\" d=\"M{x} {y}C{bend} {y} {bend} {ty} {tx} {ty}\"/><text x=\"{}\" y=\"{}\" class=\"l\">{}</text>",
                    x + 6,
                    y.saturating_sub(3),
                    escaped(word)
                );
            }
            for group in &task.groups {
                self.jumps(&group.tasks);
            }
        }
    }
}

/// Text in XML.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}
