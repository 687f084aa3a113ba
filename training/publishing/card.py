"""The model card of a published run: every number in it comes from the run's files, none is typed."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ripe_lib.evaluation.metrics import CONFIDENCE

TEMPLATE = """\
# {{ spec.name }}

{{ spec.tasks | length }} CLIP experiment{{ "" if spec.tasks | length == 1 else "s" }} in one network \
(`{{ spec.architecture }}`{{ ", sizes " ~ spec.sizes if spec.sizes }}, {{ parameters }} parameters): the probability \
that a window of RNA is a binding site.
Inputs: {{ spec.sequence_length }} nt of sequence\
{{ ", the region types (intron, CDS, 3'UTR, 5'UTR) of " ~ spec.region_length ~ " nt" if spec.has_region }}, \
centred on the site{{ ", and the site's distances to eight transcript landmarks" if spec.has_landmarks }}.

## Intended use

Scoring RNA for binding by these proteins, explaining a prediction by attribution, and comparing alleles (reference
against alternative). For research; not for clinical decisions.

## Data

| split | sites |
|---|---|
{% for split, n in dataset.manifest.counts.splits.items() -%}
| {{ split }} | {{ n }} |
{% endfor %}
Sources: {% for source, n in dataset.manifest.counts.sources.items() %}{{ source }} ({{ n }} sites)\
{{ ", " if not loop.last }}{% endfor %}.
Split: {{ split_text }}, seed {{ dataset.manifest.get("seed") }}.
A label that is not known for a task was masked: it neither trained nor tested that task.
{% if left_out -%}
Trained in one network with {{ left_out | length }} more experiment{{ "" if left_out | length == 1 else "s" }}, whose \
outputs are left out here: {{ left_out | join(", ") }}.
{% endif -%}
{{ missing }}\
Data set digest `{{ dataset.manifest_sha256[:16] }}`.
{% if files %}
| file | for | fetched | md5 | address |
|---|---|---|---|---|
{% for row in files -%}
| {{ row.accession }} | {{ row.task or "all" }} | {{ row.date }} | `{{ row.md5 }}` | {{ row.address }} |
{% endfor %}{% endif -%}

## Training

{{ epochs }} epochs, best epoch {{ best_epoch }} by {{ best_by }} (loss {{ "%.4f" | format(best_loss) }}), seed \
{{ config.seed }}, batch {{ config.batch_size }}, learning rate {{ config.learning_rate }} ({{ config.schedule }}), \
loss weighting `{{ config.loss.weighting }}`, unknown labels weighted \
{{ config.loss.unknown_weight }} ({{ config.loss.unknown_rows }} rows).
Augmentation: {{ augment }}.
{% if origin -%}
Started from {{ origin }}.
{% endif -%}
{% if calibrated %}
## Calibration

Scale and offset of each output were fitted on the validation split (Platt) for a prevalence of \
{{ "%.2f" | format(options.prevalence) }} and are part of the output layer. {{ calibration_note }}
{% endif %}
## Accuracy on the untouched test split

{{ "Bins of these proteins, each one's against the others'" if bound_only else
"Each experiment's positives against its own negatives" }}{{ " (windows of " ~ sources | join(", ") ~ ")" if sources }}.
Mean AUROC {{ number(mean.auroc) }} \
({{ number(mean.auroc_low) }} to {{ number(mean.auroc_high) }}), mean average precision {{ number(mean.ap) }} \
({{ number(mean.ap_low) }} to {{ number(mean.ap_high) }}); intervals: \
{{ "%.0f" | format(100 * confidence) }} % of {{ options.n_bootstrap }} \
bootstrap draws of loci. Calibration error (ECE) at a prevalence of
{{ "%.2f" | format(options.prevalence) }}.\
{% if no_region %} Without annotation (sequence alone): mean AUROC {{ number(no_region.auroc) }}, mean AP \
{{ number(no_region.ap) }}.{% endif %}

| task | positives | negatives | AUROC | interval | AP | interval | ECE |
|---|---|---|---|---|---|---|---|
{% for row in rows -%}
| {{ row.task }} | {{ row.n_pos }} | {{ row.n_neg }} | {{ number(row.auroc) }} | {{ number(row.auroc_low) }} to \
{{ number(row.auroc_high) }} | {{ number(row.ap) }} | {{ number(row.ap_low) }} to {{ number(row.ap_high) }} | \
{{ number(row.ece) }}{{ " (" ~ row.reason ~ ")" if row.reason }} |
{% endfor %}
## Limits

{% for task, remark in remarks.items() -%}
- {{ task }}: {{ remark }}.
{% endfor -%}
- "Not bound" means "not reported in this experiment"; positives are those found by one protocol in one cell line.
- Probabilities hold at the stated prevalence; in a transcriptome-wide scan sites are far rarer.
- Expression and competition between proteins in other cells are not modelled.
- Sites of one locus are never in two splits, but similar sequences at different loci are.
"""


def number(value: Any) -> str:
    """Return three decimals, or a dash for what is undefined."""
    return "–" if pd.isna(value) else f"{value:.3f}"


def render_card(**values: Any) -> str:
    """Fill the template; a missing value is an error, not an empty string."""
    import jinja2

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return environment.from_string(TEMPLATE).render(number=number, confidence=CONFIDENCE, **values)
