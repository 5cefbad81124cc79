"""The loop that finetunes and distils, and what a step computes.

Start: loop.py (Loop). Then distillation.py (the step of a supernet), losses.py, checkpoint.py, precision.py.
Knows no stage, no store and no tracking; it reports to whatever `Monitor` it is given.
"""
