"""Sub-networks of one set of weights: say which, select, cut out.

Start: elastic.py (make_elastic, select, extract). Then subnet.py (what a sub-network is), space.py (which ones a
job serves), cuts.py (what a width cuts), blocks.py, importance.py and reorder.py (why the leading slices are the good
ones), operations.py (what a forward pass does, for the estimate of its latency).
Knows no settings, no data and no PaddleNLP.
"""
