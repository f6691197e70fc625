//! Reads the rules as this repository writes them: no YAML in general.

/// One alert or recorded series.
#[derive(Debug, Default)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) expr: String,
    pub(crate) severity: String,
    pub(crate) summary: String,
    pub(crate) runbook: String,
}

/// The rules of a file, in order.
pub(crate) fn read(text: &str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut folded = false;
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let (indent, line) = (line.len() - line.trim_start().len(), line.trim());
        if let Some(name) = line.strip_prefix("- alert: ").or_else(|| line.strip_prefix("- record: ")) {
            rules.push(Rule { name: name.to_owned(), ..Rule::default() });
            folded = false;
            continue;
        }
        let Some(rule) = rules.last_mut() else { continue };
        folded &= indent > 8;
        if folded {
            rule.expr.push_str(line);
            rule.expr.push(' ');
        } else if line == "expr: >-" {
            folded = true;
        } else if let Some(expr) = line.strip_prefix("expr: ") {
            expr.clone_into(&mut rule.expr);
        } else if let Some(labels) = line.strip_prefix("labels: { severity: ") {
            labels.trim_end_matches(" }").clone_into(&mut rule.severity);
        } else if let Some(summary) = line.strip_prefix("summary: ") {
            summary.clone_into(&mut rule.summary);
        } else if let Some(runbook) = line.strip_prefix("runbook: ") {
            runbook.clone_into(&mut rule.runbook);
        }
    }
    rules
}
