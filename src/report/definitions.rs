//! The words of the report, defined.

use super::summary::Summary;

/// What the words mean, for classes or for numbers.
pub(super) fn definitions(summary: &Summary<'_>) -> String {
    let cornerstone = if summary.of_classes() {
        "without the layer, each of accuracy, AUROC, F1 and true-positive rate is at least 5 % worse than the baseline’s \
         mean, or undefined where that is not."
    } else {
        "without the layer, every metric is at least 5 % worse than the baseline’s mean, or undefined where that is not."
    };
    let unfavourable = if summary.of_classes() {
        "for at least three of the four of accuracy, AUROC, F1 and true-positive rate, the mean without the layer is not \
         below the baseline’s mean minus the baseline’s standard deviation."
    } else {
        "the same rule over the metrics that a study of numbers has: for every one of them, the mean without the layer is \
         not below the baseline’s mean minus the baseline’s standard deviation."
    };
    let of_layers = !summary.study.layers.is_empty();
    let only_of_layers = ["Importance", "◆ Cornerstone", "○ Unfavourable", "Derived models"];
    let terms = [
        ("Baseline", "the whole model, trained under the same budget and seeds as every variation."),
        (
            "Mean, standard deviation",
            "over the seeds, the standard deviation with n − 1 in the denominator; one seed has none, and rules take it as 0.",
        ),
        (
            "Validation rows, test rows",
            "layers are judged on the validation rows, by whose loss each training also chose its step; models are \
             compared on the test rows, which nothing was chosen by. A study without test rows compares on the \
             validation rows, and the counts of rows say so.",
        ),
        (
            "Interval",
            "95 % percentile bootstrap over the rows, of one training. It says nothing of what another seed would have \
             given.",
        ),
        ("Change", "mean − the baseline’s mean, in per cent of the latter’s size."),
        (
            "Importance",
            "of a layer: the baseline’s mean of the primary metric − the mean without the layer, turned where less is \
             better. Higher is more important.",
        ),
        ("◆ Cornerstone", cornerstone),
        ("○ Unfavourable", unfavourable),
        (
            "Derived models",
            "one without all unfavourable layers (where all are, of the most important layer alone), one of the cornerstones only, each trained as the baseline is. Layers \
             that can be spared one at a time need not be so together; that is what these models measure.",
        ),
        (
            "Undefined",
            "a metric has no value, for example where all rows are of one class. It is never counted as 0.",
        ),
        (
            "Most memory",
            "the most that the process held during a training, of any seed. A process keeps memory of earlier trainings: \
             of small models the differences do not show.",
        ),
    ];
    let shown = terms.iter().filter(|(term, _)| of_layers || !only_of_layers.contains(term));
    let terms: Vec<String> = shown.map(|(term, text)| format!("<dt>{term}</dt><dd>{text}</dd>\n")).collect();
    if !of_layers {
        return format!("<dl class=\"terms\">\n{}</dl>\n", terms.concat());
    }
    format!(
        "<dl class=\"terms\">\n{}</dl>\n<p class=\"note\">Cornerstone and unfavourable as in Hegde, Nebel, Rahman, \
         <cite>Genes</cite> 2025, 16(11):1358 (doi 10.3390/genes16111358), which states them for classes.</p>\n",
        terms.concat()
    )
}
