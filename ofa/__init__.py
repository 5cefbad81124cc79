"""A finetuned BERT as a family of smaller, faster ones."""

__version__ = "0.1.0"
