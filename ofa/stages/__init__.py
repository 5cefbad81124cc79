"""The pipeline: its stages, each a function of settings, inputs and the folders of the stages before it.

Start: pipeline.py (the stages) and runner.py (run_stages). Then inputs.py (what a run starts from), keys.py (what
decides a stage's output), then finetune.py, reorder.py, vocabulary.py, distill.py, distill_depth.py, search.py,
specialise.py, final.py, evaluate.py, export.py, quantize.py, latency.py; context.py is what each of them is given,
shared_weights.py what distillations share, one_by_one.py what the stages share that train networks by themselves.
Stages import neither each other nor tracking.
"""
