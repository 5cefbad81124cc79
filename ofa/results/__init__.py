"""The record of a run, which network to take, and what a person reads of it.

Start: collect.py (collect). Then record.py, timings.py, advice.py, report.py, page.py, figures.py, published.py;
aggregate.py and means.py (many runs).
Loads no Paddle and knows no stage: it reads what stages left in their folders.
"""
