"""The alert rules and the dashboard of docker/monitoring: they use metrics and labels that the product has."""

import json
import logging
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cloudcoil.models.prometheus_operator.v1 import PrometheusRule

from stream.log import JsonLines
from stream.records import live
from tests.docker import exposition
from tests.docker.files import DOCKER, services
from tests.docker.manifests import read_yaml
from tests.test_docs import anchors
from web.http.connections import Wait

ROOT = Path(__file__).parents[2]
DOC = ROOT / "docs/operations.md"
MONITORING = ROOT / "docker/monitoring"
(ALERTS,) = read_yaml((MONITORING / "alerts.yaml").read_text())
RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
REASONS = {*live.REASONS, *live.PROBLEMS, *(wait.value for wait in Wait), "refused", "evicted"}


def expression(text: str) -> str:
    """An expression of a panel with Grafana's variables replaced."""
    return text.replace("$__rate_interval", "5m")


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_a_rule_uses_metrics_that_exist(rule: dict[str, Any]) -> None:
    assert not exposition.unknown(rule["expr"], exposition.metrics())
    for selector in exposition.selectors(rule["expr"]):
        for matcher in selector.matchers.matchers:
            if matcher.name in ("reason", "result"):
                assert set(matcher.value.split("|")) <= REASONS


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_a_rule_is_explained(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"Mattebox[A-Z][A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    assert re.search(rf"^\| `{rule['alert']}` \| [^|]+ \|$", DOC.read_text(), re.MULTILINE)
    labels = re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))
    assert set(labels) <= exposition.groupings(rule["expr"]) | exposition.TARGET


def test_the_documented_command_makes_a_prometheus_rule() -> None:
    section = DOC.read_text().partition("\n## Alerts\n")[2].partition("\n## ")[0]
    (command,) = re.findall(r"^```sh\n(.*?) \| kubectl [^\n]*\n```", section, re.MULTILINE | re.DOTALL)
    done = subprocess.run(["sh", "-eu", "-c", command], cwd=ROOT, check=True, capture_output=True, text=True)
    (manifest,) = read_yaml(done.stdout)
    rule = PrometheusRule.model_validate(manifest).model_dump(by_alias=True, exclude_none=True, mode="json")
    assert rule == manifest, "the model drops fields that it does not know"
    assert manifest["spec"] == ALERTS
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_prometheus_of_the_compose_file_loads_the_rules() -> None:
    mounts = [text.split(":") for text in services()["prometheus"]["volumes"]]
    inside = {path: DOCKER / source for source, path, *_ in mounts if source.startswith("./")}
    (argument,) = [a for a in services()["prometheus"]["command"] if a.startswith("--config.file=")]
    (config,) = read_yaml(inside[argument.partition("=")[2]].read_text())
    assert [inside[path].resolve() for path in config["rule_files"]] == [MONITORING / "alerts.yaml"]


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_a_panel_uses_metrics_that_exist(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        text = expression(target["expr"])
        assert not exposition.unknown(text, exposition.metrics())
        labels = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        assert labels <= exposition.groupings(text) | exposition.TARGET
        assert all('job=~"$job"' in part for part in re.findall(r"mattebox_\w+{([^}]*)}", text))
    assert panel["datasource"]["uid"] == "${datasource}"


def test_the_dashboard_has_every_metric() -> None:
    shown = {
        selector.name
        for panel in PANELS
        for target in panel["targets"]
        for selector in exposition.selectors(expression(target["expr"]))
    }
    assert product_metrics() <= shown | {"mattebox_offer_seconds"}


def product_metrics() -> set[str]:
    """The names of the product's metrics; those of a histogram once."""
    names = {name for name in exposition.metrics() if name.startswith("mattebox_")}
    names = {name for name in names if not name.endswith(("_created", "_sum", "_count"))}
    return {name.removesuffix("_bucket") if name == "mattebox_offer_seconds_bucket" else name for name in names}


def test_panels_do_not_overlap() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert all(x < 24 for x, _ in cells)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_documentation_lists_every_metric_with_its_labels() -> None:
    rows = dict(re.findall(r"^\| `(mattebox_\w+)` \|([^|]*)\|", DOC.read_text(), re.MULTILINE))
    assert set(rows) == product_metrics()
    known = exposition.metrics()
    for name, labels in rows.items():
        found = known.get(name, known.get(f"{name}_bucket", {}))
        assert set(re.findall(r"`(\w+)`", labels)) == set(found) - {"le"}, name


def test_the_documentation_explains_only_existing_alerts() -> None:
    assert set(re.findall(r"^\| `(Mattebox\w+)` \|", DOC.read_text(), re.MULTILINE)) == {r["alert"] for r in RULES}
    assert {"metrics", "alerts", "logs", "backup", "upgrade"} <= anchors(DOC)


def test_the_documentation_lists_the_fields_of_the_log() -> None:
    record = logging.LogRecord("x", logging.WARNING, "x.py", 1, "a %s", ("b",), None)
    section = DOC.read_text().partition("\n## Logs\n")[2].partition("\n## ")[0]
    example = json.loads(re.findall(r"^```json\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[0])
    written = json.loads(JsonLines().format(record))
    assert [*example] == [*written]
    assert {name: type(value) for name, value in example.items()} == {name: type(v) for name, v in written.items()}
    record.exc_info = (ValueError, ValueError("c"), None)
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [*json.loads(JsonLines().format(record))]


@pytest.mark.parametrize(("text", "missing"), [
    ("mattebox_nothing", ["mattebox_nothing"]),
    ("sum(rate(mattebox_nothing[5m])) > 1", ["mattebox_nothing"]),
    ('mattebox_tasks{status="waiting"}', ["mattebox_tasks{status}"]),
    ('mattebox_tasks{state="waitin"}', ["mattebox_tasks{state=waitin}"]),
    ('mattebox_tasks{state=~"waiting|run"}', ["mattebox_tasks{state=run}"]),
    ("sum by (status) (mattebox_tasks)", ["status"]),
    ("up == 0 and on (worker) mattebox_redis_up", ["worker"]),
    ("1 - (mattebox_nothing or mattebox_redis_up)", ["mattebox_nothing"]),
    ("-mattebox_nothing", ["mattebox_nothing"]),
    ("max_over_time(mattebox_nothing[1h:1m])", ["mattebox_nothing"]),
])  # fmt: skip
def test_the_check_finds_faults(text: str, missing: list[str]) -> None:
    assert exposition.unknown(text, exposition.metrics()) == missing


@pytest.mark.parametrize("text", ["sum(", "rate(mattebox_tasks)", "mattebox_tasks{state=}"])
def test_what_is_not_promql_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        exposition.unknown(text, exposition.metrics())
