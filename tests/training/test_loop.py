"""The loop on a toy regression: resumes to the bit, keeps the best, names what went wrong."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from helpers.loops import SETTINGS, Batches, make_loop

from ofa.errors import Diverged, Interrupted, UserError
from ofa.settings.schema import LoopConfig
from ofa.training import checkpoint
from ofa.training.loop import learning_rate


def state(loop):
    return {key: value.numpy() for key, value in loop.model.state_dict().items()}


@pytest.mark.parametrize("stop_at", [1, 4, 5, 7, 13])
def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path, stop_at):
    whole = make_loop(tmp_path / "whole", SETTINGS)
    assert whole.run() == 15
    with pytest.raises(Interrupted, match=rf"finetune stopped after step {stop_at} of 15"):
        make_loop(tmp_path / "parts", SETTINGS, stop_at=stop_at).run()
    resumed = make_loop(tmp_path / "parts", SETTINGS)
    resumed.run()
    assert all((value == state(whole)[key]).all() for key, value in state(resumed).items())
    assert resumed.history == whole.history
    assert resumed.best.found == whole.best.found


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path):
    whole = make_loop(tmp_path / "whole", SETTINGS)
    whole.run()
    killed = make_loop(tmp_path / "killed", SETTINGS)
    original, calls = killed.step, []

    def dies(rows, number):
        calls.append(1)
        if len(calls) == 11:
            raise RuntimeError("power cut")
        return original(rows, number)

    killed.step = dies
    with pytest.raises(RuntimeError, match="power cut"):
        killed.run()
    resumed = make_loop(tmp_path / "killed", SETTINGS)
    resumed.run()
    assert all((value == state(whole)[key]).all() for key, value in state(resumed).items())


def test_a_run_killed_after_its_last_step_scores_it_again(tmp_path):
    whole = make_loop(tmp_path, SETTINGS)
    whole.run()
    again, scored = make_loop(tmp_path, SETTINGS), []
    evaluate = again.evaluate
    again.evaluate = lambda number: scored.append((number, again.model.training)) or evaluate(number)
    assert again.run() == 15 and scored == [(15, False)]
    assert again.best.found == whole.best.found and again.history == whole.history


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, caplog):
    whole = make_loop(tmp_path / "whole", SETTINGS)
    whole.run()
    with pytest.raises(Interrupted):
        make_loop(tmp_path / "parts", SETTINGS, stop_at=9).run()
    folders = sorted((tmp_path / "parts").glob("step-*"))
    assert [folder.name for folder in folders] == ["step-00000008", "step-00000009"], "the last two are kept"
    weights = folders[-1] / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-3])
    resumed = make_loop(tmp_path / "parts", SETTINGS)
    resumed.run()
    assert "step-00000009 is damaged" in caplog.text
    assert all((value == state(whole)[key]).all() for key, value in state(resumed).items())


def edit(path, change):
    state = json.loads(path.read_text())
    path.write_text(json.dumps(change(state)))


def without(state, key):
    return {**state, "progress": {name: value for name, value in state["progress"].items() if name != key}}


WRONG_STATES = {
    "a list": lambda state: [state],
    "no precision": lambda state: without(state, "precision"),
    "no progress": lambda state: {"step": state["step"], "sha256": state["sha256"]},
    "another step": lambda state: {**state, "step": state["step"] - 1},
    "a step in words": lambda state: {**state, "step": "nine"},
    "no checksums": lambda state: {**state, "sha256": {}},
    "checksums a list": lambda state: {**state, "sha256": []},
    "another best": lambda state: {**state, "progress": {**state["progress"], "best": {}}},
    "nothing": lambda state: None,
}


@pytest.mark.parametrize("name", WRONG_STATES)
@pytest.mark.parametrize("damaged", [1, 2])
def test_a_state_that_is_json_but_wrong_is_damage_too(tmp_path, caplog, name, damaged):
    whole = make_loop(tmp_path / "whole", SETTINGS)
    whole.run()
    with pytest.raises(Interrupted):
        make_loop(tmp_path / "parts", SETTINGS, stop_at=9).run()
    folders = sorted((tmp_path / "parts").glob("step-*"))
    for folder in folders[-damaged:]:
        edit(folder / "state.json", WRONG_STATES[name])
        os.truncate(folder / "weights.safetensors", 100)
    resumed = make_loop(tmp_path / "parts", SETTINGS)
    with pytest.raises(Interrupted):  # soon after: the damaged ones do not crowd out the new
        resumed.stop = lambda: True
        resumed.run()
    assert checkpoint.latest(tmp_path / "parts").step == {1: 9, 2: 1}[damaged]
    resumed = make_loop(tmp_path / "parts", SETTINGS)
    resumed.run()
    assert "step-00000009 is damaged" in caplog.text
    assert ("step-00000008 is damaged" in caplog.text and "starting afresh" in caplog.text) == (damaged == 2)
    assert all((value == state(whole)[key]).all() for key, value in state(resumed).items())
    assert resumed.best.found == whole.best.found and resumed.history == whole.history


def test_a_damaged_best_network_damages_the_checkpoint_that_refers_to_it(tmp_path, caplog):
    whole = make_loop(tmp_path / "whole", SETTINGS, scores={5: 0.9, 10: 0.5, 15: 0.7})
    whole.run()
    with pytest.raises(Interrupted):
        make_loop(tmp_path / "parts", SETTINGS, stop_at=9, scores={5: 0.9}).run()
    (tmp_path / "parts" / "net@5" / "step").write_text("")
    resumed = make_loop(tmp_path / "parts", SETTINGS, scores={5: 0.9, 10: 0.5, 15: 0.7})
    resumed.run()
    assert "step-00000008 is damaged (net@5: step has 0 bytes instead of 1); starting afresh" in caplog.text
    assert (resumed.best.path("net") / "step").read_text() == "5"


def test_an_unfinished_checkpoint_does_not_count(tmp_path):
    (tmp_path / "step-00000004.part").mkdir(parents=True)
    assert checkpoint.latest(tmp_path) is None


def test_the_best_network_is_kept_not_the_last(tmp_path):
    loop = make_loop(tmp_path, SETTINGS, scores={5: 0.5, 10: 0.9, 15: 0.7})
    loop.run()
    assert loop.best.found == {"net": {"step": 10, "score": 0.9}}
    assert (loop.best.path("net") / "step").read_text() == "10"
    assert not (tmp_path / "net@5").exists(), "a network that nothing refers to any more is gone"


def test_ties_keep_the_earlier_network(tmp_path):
    loop = make_loop(tmp_path, SETTINGS, scores={5: 0.5, 10: 0.5, 15: 0.5})
    loop.run()
    assert loop.best.found["net"]["step"] == 5


def test_a_loss_that_is_not_finite_stops_and_names_step_and_rows(tmp_path):
    order = [rows for number in range(3) for rows in Batches().epoch(number)]
    bad = next(i for i, rows in enumerate(order) if 17 in rows)
    with pytest.raises(UserError) as error:
        make_loop(tmp_path, SETTINGS, poison=17).run()
    message = str(error.value)
    assert f"loss=nan, grad_norm=nan at step {bad} (training rows {order[bad][0]}, " in message
    assert "lower trainer.finetune.learning_rate (now 0.01)" in message
    kept = checkpoint.latest(tmp_path)
    assert kept is None or all(np.isfinite(value).all() for value in kept.weights.values())


def test_scores_that_are_not_finite_name_the_loop_and_what_to_lower(tmp_path):
    def evaluate(step: int) -> dict[str, float]:
        raise Diverged("24 of 24 rows have logits that are not finite, first row 0")

    loop = replace(make_loop(tmp_path, SETTINGS), evaluate=evaluate)
    with pytest.raises(UserError) as error:
        loop.run()
    first, second = str(error.value).splitlines()
    assert first.startswith(f"{loop.name}: 24 of 24 rows have logits that are not finite, first row 0, after step ")
    assert second == "lower trainer.finetune.learning_rate (now 0.01)"


def test_learning_rate_rises_then_falls_to_zero():
    settings = LoopConfig(learning_rate=1.0, warmup_ratio=0.2)
    rates = [learning_rate(step, 10, settings) for step in range(11)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[-1] == 0 and rates[6] == 0.5
    assert learning_rate(0, 10, LoopConfig(learning_rate=1.0)) == 1.0


def test_steps_are_those_of_adamw_by_hand(tmp_path):
    """Clipping, warm-up, decay to zero and weight decay, but of biases and norms (Loshchilov and Hutter 2019)."""
    settings = {"warmup_ratio": 0.4, "max_grad_norm": 0.3, "weight_decay": 0.5, "adam_epsilon": 1e-3}
    loop, seen = make_loop(tmp_path, LoopConfig(epochs=1, learning_rate=0.1, **settings)), []
    step, net = loop.step, loop.model
    weights = {name: p.numpy().astype(float) for name, p in net.named_parameters()}
    loop.step = lambda *a: (step(*a), seen.append({n: p.grad.numpy() for n, p in net.named_parameters()}))[0]
    loop.run()
    m, v = ({name: np.zeros_like(value) for name, value in weights.items()} for _ in range(2))
    for t, (gradients, rate) in enumerate(zip(seen, [0.05, 0.1, 0.1, 0.2 / 3, 0.1 / 3], strict=True), 1):
        norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
        assert norm > 0.3, "clipped"
        for name, g in gradients.items():
            m[name], v[name] = 0.9 * m[name] + 0.1 * g * 0.3 / norm, 0.999 * v[name] + 0.001 * (g * 0.3 / norm) ** 2
            moved = m[name] / (1 - 0.9**t) / (np.sqrt(v[name] / (1 - 0.999**t)) + 1e-3)
            decay = 0.5 * weights[name] * (name in ("linear.weight", "head.weight"))
            weights[name] = weights[name] - rate * (moved + decay)
    for name, value in state(loop).items():
        np.testing.assert_allclose(value, weights[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_history_is_json_with_the_rate_and_the_means_since_the_last_log_line(tmp_path):
    losses = []

    class Recorded:
        def metrics(self, values, step, network=None):
            losses.append((step, values))

    loop = make_loop(tmp_path, SETTINGS)
    step, made = loop.step, []
    loop.step = lambda batch, number: made.append(step(batch, number)) or made[-1]
    loop.monitor = Recorded()
    loop.run()
    of_steps = [float(parts["loss"]) for parts in made]
    assert [entry["step"] for entry in loop.history] == [3, 6, 9, 12, 15]
    assert json.loads(json.dumps(loop.history)) == loop.history
    assert set(loop.history[0]) == {"step", "finetune/loss", "finetune/grad_norm", "finetune/learning_rate"}
    for entry in loop.history:
        expected = np.mean(of_steps[entry["step"] - 3 : entry["step"]])
        assert entry["finetune/loss"] == pytest.approx(expected, rel=1e-6)
    assert losses == [
        (entry["step"], {key: value for key, value in entry.items() if key != "step"}) for entry in loop.history
    ]


def test_all_ranks_wait_before_they_look_for_a_checkpoint(tmp_path, monkeypatch):
    """Rank 0 may still be writing the networks that it names; one that takes it for damaged would start afresh."""
    order = []
    monkeypatch.setattr("ofa.training.loop.ranks.barrier", lambda: order.append("wait"))
    loop = make_loop(tmp_path, SETTINGS)
    resume = loop._resume
    loop._resume = lambda optimizer: (order.append("resume"), resume(optimizer))[1]
    loop.run()
    assert order[:2] == ["wait", "resume"]
