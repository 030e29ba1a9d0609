"""What a deployed system is: seen from the host's kernel, over HTTP and through the API, not through our own words."""

from __future__ import annotations

import pytest
from turn import Turn

from tests.scenario import until


@pytest.mark.req("BR-02", "ST-34")
def test_a_second_run_changes_nothing(turn: Turn) -> None:
    assert turn.first > 0
    assert turn.again == 0


@pytest.mark.req("SC-72", "SC-73", "ST-36", "WC-09", "WC-10", "WC-11", "WC-12", "WC-13", "WC-14")
def test_every_service_answers_its_own_health_path_on_its_own_port(turn: Turn) -> None:
    for service, (port, path) in turn.form.answers.items():
        status, told = until(f"{service} answers", lambda s=service, p=port, h=path: turn.answer(s, p, h))
        assert (service, status) == (service, 200), told
        assert turn.answer(service, port, "/no-such-path")[0] == 404, service


@pytest.mark.needs("environment")
@pytest.mark.req("SC-46", "SC-47", "SC-48", "SC-56", "ST-39", "ST-43", "WC-24", "WC-79", "SS-50", "SS-54")
def test_the_environment_arrives_in_the_process(turn: Turn) -> None:
    for workload, wanted in turn.form.environment.items():
        found = turn.process(workload)["environment"]
        assert {name: found.get(name) for name in wanted} == wanted, workload


@pytest.mark.needs("secrets")
@pytest.mark.req("SC-39", "SC-84", "ST-26", "WC-49")
def test_secrets_arrive_in_the_process(turn: Turn) -> None:
    """Compared without showing a value: every variable is what the Secret, or for a database its key, holds."""
    for secret, variables in turn.form.secrets.items():
        values = set(turn.secret(secret).values())
        for variable, workload in variables.items():
            found = turn.process(workload)["environment"].get(variable, "")
            assert found, f"{workload} has no {variable}"
            assert found in values, f"{variable} of {workload} is none of the values of {secret}"


@pytest.mark.form("whatsthecraic")
@pytest.mark.req("WC-49", "WC-74")
def test_the_secret_has_exactly_its_ten_keys(turn: Turn) -> None:
    assert set(turn.secret("whatsthecraic-secrets")) == set(turn.form.secrets["whatsthecraic-secrets"])


@pytest.mark.req("SC-89", "SS-27", "SS-28")
def test_processes_are_who_they_should_be(turn: Turn) -> None:
    workloads = [*turn.names("deployments"), *turn.names("statefulsets")]
    assert set(turn.form.answers) <= set(workloads)
    for workload in workloads:
        seen = turn.process(workload)
        user = turn.form.users.get(workload, 1000)
        assert seen["uids"] == {user}, (workload, seen["uids"])
        assert seen["seccomp"] == "2", f"{workload} runs without a seccomp filter"
        assert seen["no_new_privileges"], workload
        if user:
            assert seen["capabilities"] == 0, (workload, hex(seen["capabilities"]))
        own = workload not in turn.form.users
        assert not (turn.form.read_only and own) or seen["read_only"], (
            f"the root of {workload} can be written"
        )


@pytest.mark.req("SS-45", "SC-100")
def test_budgets_have_their_numbers(turn: Turn) -> None:
    found = {one["metadata"]["name"]: one["spec"].get("minAvailable") for one in turn.list("pdb")}
    assert found == turn.form.pdbs


@pytest.mark.req("SC-80", "ST-05", "ST-22", "WC-26", "WC-28", "WC-59")
def test_autoscalers_have_their_numbers_and_measure(turn: Turn) -> None:
    found = {}
    for one in turn.list("hpa"):
        spec = one["spec"]
        (metric,) = spec["metrics"]
        assert metric["resource"]["name"] == "cpu"
        target = metric["resource"]["target"]["averageUtilization"]
        found[one["metadata"]["name"]] = (spec["minReplicas"], spec["maxReplicas"], target)
    assert found == turn.form.hpas
    for name in found:
        until(f"{name} has a measurement", lambda n=name: turn.get("hpa", n)["status"].get("currentMetrics"))


@pytest.mark.req("SC-81", "SC-83")
def test_policies_are_there(turn: Turn) -> None:
    assert set(turn.names("networkpolicies")) == turn.form.policies


@pytest.mark.needs("claims")
@pytest.mark.req("SS-20", "SS-22", "SS-23", "SS-59", "WC-73")
def test_claims_are_bound_and_as_large_as_promised(turn: Turn) -> None:
    found = {
        one["metadata"]["name"]: (one["status"]["phase"], one["spec"]["resources"]["requests"]["storage"])
        for one in turn.list("pvc")
    }
    wanted = {name: ("Bound", size) for name, size in turn.form.claims.items()}
    assert {name: found.get(name) for name in wanted} == wanted


@pytest.mark.form("whatsthecraic", "soundcore", "starter")
@pytest.mark.req("ST-56", "WC-45", "WC-32", "WC-33", "WC-34", "WC-35", "WC-22")
def test_routes_are_stored_with_their_certificates(turn: Turn) -> None:
    """A lab host has no ingress controller: what is stored is what one would read."""
    routes = {}
    for one in turn.list("ingress"):
        certified = {host for entry in one["spec"].get("tls", []) for host in entry["hosts"]}
        for rule in one["spec"]["rules"]:
            assert rule["host"] in certified, f"{rule['host']} has no certificate"
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                routes[rule["host"] + path["path"]] = (service["name"], service["port"]["number"])
    for route, (service, port) in routes.items():
        assert (turn.form.answers[service][0], "cache-stats" in route) == (port, False), route
    assert {route.partition("/")[0] for route in routes} == {
        "whatsthecraic": {f"{name}whatsthecraic.run.place" for name in ("api.", "auth.", "", "www.")},
        "soundcore": {"kcp.soundcore.com"},
        "starter": {"app.example.com"},
    }[turn.form.system]


@pytest.mark.form("whatsthecraic")
@pytest.mark.req("WC-25")
def test_the_account_may_read_its_config_and_nothing_else(turn: Turn) -> None:
    def may(*what: str) -> str:
        who = f"system:serviceaccount:{turn.form.namespace}:whatsthecraic"
        argv = [
            "/usr/local/bin/k3s",
            "kubectl",
            "-n",
            turn.form.namespace,
            "auth",
            "can-i",
            *what,
            "--as",
            who,
        ]
        return turn.host.sudo(argv, check=False).out.strip()

    assert may("get", "configmaps/whatsthecraic-config") == "yes"
    for what in (("get", "secrets/whatsthecraic-secrets"), ("list", "configmaps"), ("get", "configmaps/other"),
                 ("delete", "pods"), ("get", "nodes")):  # fmt: skip
        assert may(*what) == "no", what
