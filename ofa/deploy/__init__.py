"""A network as files that other programs run, how fast they are, and the function that serves them.

Start: export.py (export) and engines.py (load_engine). Then latency.py (time_folders), serving.py (TextClassifier).
serving.py imports neither Paddle nor MLflow: a served model carries it.
"""
