"""Runs in an environment without this project: what Transformers and optimum make of folders.

``python ask.py < request > answers``, both JSON: folder -> what is wanted (``ids``, of pairs ``pairs``; ``logits``,
or ``trusted`` with the folder's own code; ``optimum`` and ``int8``, labels and probabilities) -> what was found, for
each of ``texts``.
"""

import json
import sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, logging, pipeline

logging.set_verbosity_error()
torch.set_num_threads(1)


def logits(folder, texts, tokenizer, trusted):
    model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=trusted).eval()
    with torch.no_grad():
        return model(**tokenizer(texts, truncation=True, padding=True, return_tensors="pt")).logits.tolist()


def answers(folder, texts, tokenizer, file):
    from optimum.onnxruntime import ORTModelForSequenceClassification

    model = ORTModelForSequenceClassification.from_pretrained(folder, file_name=file)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer)
    return [[answer["label"], answer["score"]] for answer in classify(texts, truncation=True)]


def asked(folder, wanted, texts):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    some = texts[:24]
    ways = {
        "ids": lambda: tokenizer(texts, truncation=True)["input_ids"],
        "pairs": lambda: tokenizer(some, some[::-1], truncation=True)["input_ids"],
        "logits": lambda: logits(folder, some, tokenizer, False),
        "trusted": lambda: logits(folder, some, tokenizer, True),
        "optimum": lambda: answers(folder, some, tokenizer, "model.onnx"),
        "int8": lambda: answers(folder, some, tokenizer, "model.int8.onnx"),
    }
    return {what: ways[what]() for what in wanted}


request = json.load(sys.stdin)
texts = request.pop("texts")
json.dump({folder: asked(folder, wanted, texts) for folder, wanted in request.items()}, sys.stdout)
