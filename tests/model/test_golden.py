"""Logits of a toy BERT with fixed weights, at every width: no change of code may move them.

`python -m pytest tests/model/test_golden.py --rewrite-golden` writes the file anew, for a change that is meant to.
"""

import json
from pathlib import Path

import numpy as np
import paddle
import pytest
from helpers.toys import TOY

from ofa.model import network as models
from ofa.supernet import elastic
from ofa.supernet.subnet import SubNet

GOLDEN = Path(__file__).with_name("golden.json")


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(20)
    model = models.build(TOY, dropout=0.0)
    state = {
        key: rng.normal(0, 0.2, value.shape).astype("float32") for key, value in sorted(model.state_dict().items())
    }
    model.set_state_dict({key: paddle.to_tensor(value) for key, value in state.items()})
    model.eval()
    elastic.make_elastic(model)
    ids = rng.integers(1, TOY.vocab_size, (4, 7))
    ids[2, 4:] = 0
    tokens = paddle.to_tensor(ids), paddle.to_tensor((np.arange(7) > 3).astype("int64")[None].repeat(4, 0))
    logits = {}
    for width in (1.0, 0.75, 0.5, 0.25):
        with elastic.selected(model, SubNet.at(width, 1.0, TOY)), paddle.no_grad():
            logits[str(width)] = models.forward(model, *tokens)[0].numpy().tolist()
    return logits


def test_golden_logits(found, request):
    if request.config.getoption("--rewrite-golden"):
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    golden = json.loads(GOLDEN.read_text())
    assert set(found) == set(golden)
    for width, logits in golden.items():
        np.testing.assert_allclose(found[width], logits, atol=1e-5, err_msg=f"width {width}")
    assert np.abs(np.array(golden["1.0"]) - np.array(golden["0.5"])).max() > 0.01
