"""What a job reports to MLflow, kept in a journal until it is sent.

Start: tracker.py (Tracker). Then logged.py (every name that is logged), pages.py, registry.py; journal.py,
sender.py, server.py and address.py deliver.
Only server.py, sender.py and registry.py import mlflow.
"""
