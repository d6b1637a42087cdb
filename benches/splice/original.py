"""CI-SpliceAI itself: reads a task as JSON from stdin, prints deltas by variant and gene as JSON."""

import json
import sys

from cispliceai import AnnotationJob, Annotator, VariantSpecification

task = json.load(sys.stdin)
jobs = [AnnotationJob(VariantSpecification(*variant, task["fasta"], task["genes"], task["distance"]), mask=False)
        for variant in task["variants"]]
rows = []
for job in Annotator(batch_size_mb=1).run_jobs(jobs):
    for found in job.annotations:
        deltas = [found[f"DS_{kind}"] for kind in ("AG", "AL", "DG", "DL")]
        rows.append([job.variant.pos, job.variant.alt, found["area"], deltas])
json.dump(rows, sys.stdout)
