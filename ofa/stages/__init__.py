"""The pipeline: six stages, each a function of settings, inputs and the folders of the stages before it.

Start: pipeline.py (run_stages). Then inputs.py (what a run starts from), then finetune.py, reorder.py, distill.py,
evaluate.py, export.py, latency.py.
Stages import neither each other nor tracking.
"""
