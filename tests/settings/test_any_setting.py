"""Any ``key=value`` composes and is checked, or is refused in at most two lines; there is never a traceback."""

from __future__ import annotations

from pathlib import Path

from helpers.toys import REPO
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ofa.errors import UserError
from ofa.jobs.preflight import check
from ofa.settings.compose import check_words, register, typed
from ofa.settings.explain import explain
from ofa.settings.schema import Config
from ofa.settings.types import keys
from ofa.settings.words import as_typed

GROUPS = ["task", "model", "ofa", "trainer", "hardware", "tracking", "launch", "sweeper", "experiment"]
KEYS = st.one_of(
    st.sampled_from([*keys(), *GROUPS, *(key.rpartition(".")[0] or key for key in keys())]),
    st.sampled_from(["+task.dev.x", "++hardware.engines.x", "~ofa.widths", "hardware.engines.paddle.fused", "hydra.x"]),
    st.text("abz.好_@+~", min_size=1, max_size=6),
)
WORDS = """1 -1 0 0.5 1e400 1e-320 nan inf true null no a sst2 好 ~ 'q' 10000000000000000000000 01 1_0 ${ofa.widths}
${task.dev} ${model} ${x} ${ ???""".split()
VALUES = st.recursive(
    st.sampled_from(WORDS) | st.text("01.-e[]{},:=()'\"\\ a好$#", max_size=8),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda found: f"[{','.join(found)}]"),
        st.tuples(st.sampled_from("ab1"), inner).map(lambda pair: f"{{{pair[0]}:{pair[1]}}}"),
        inner.map(lambda value: f"choice({value})"),
    ),
    max_leaves=3,
)


def said(argument: str, place: Path) -> str:
    """What main.py would say of a setting; empty if a job would begin."""
    try:
        with initialize_config_dir(str(REPO / "conf"), version_base="1.3"):
            overrides = [as_typed(argument), f"output_dir={place}", f"cache_dir={place}"]
            composed = compose("config", overrides)
            check_words("config", overrides)
    except Exception as error:  # as main.py: until a job begins only settings can be wrong
        return explain(error)
    try:
        config = typed(composed)
        assert isinstance(config, Config)
        check(config)
    except UserError as error:
        return explain(error)
    return ""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(KEYS, VALUES)
@example("ofa.widths", "[[1,0.5]]")
@example("trainer.finetune", "${model}")
def test_any_setting_is_taken_or_refused_in_two_lines(tmp_path: Path, key: str, value: str) -> None:
    register()
    lines = said(f"{key}={value}", tmp_path).splitlines()
    of_each = {line.split(":")[0].split()[0] for line in lines if line.strip()}  # several values of one setting
    assert len(lines) <= 2 or len(of_each) == 1 or all(line.startswith(("ofa.", "latency.")) for line in lines), lines
    assert all(line and len(line) < 700 for line in lines), lines
