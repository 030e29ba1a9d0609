"""The numbers of SoundSpan in its three forms."""

from __future__ import annotations

from typing import Any

import pytest
from inventory import Release

from ansible_collections.holdfast.k3s.plugins.module_utils.app.release import BadValues

EXTERNAL_REDIS = {"soundspan_redis_host": "redis.example.net"}
SIDECARS = {"services": {"soundspan-tidal": {"enabled": True}, "soundspan-ytmusic": {"enabled": True}}}


@pytest.fixture(scope="module")
def aio() -> Release:
    return Release("soundspan")


@pytest.fixture(scope="module")
def individual() -> Release:
    return Release("soundspan", SIDECARS, soundspan_mode="individual")


@pytest.fixture(scope="module")
def ha() -> Release:
    return Release("soundspan", soundspan_mode="individual", soundspan_ha=True, **EXTERNAL_REDIS)


@pytest.mark.req("SS-01", "SS-09", "SS-18", "SS-36")
def test_all_in_one_is_one_pod(aio: Release) -> None:
    assert aio.names("Deployment") == ["soundspan"]
    container = aio.container("soundspan")
    assert container["image"] == "ghcr.io/soundspan/soundspan:main"
    assert container["imagePullPolicy"] == "Always"
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/", "port": 3030}


@pytest.mark.req("SS-28")
def test_all_in_one_is_root_by_a_recorded_waiver(aio: Release) -> None:
    (finding,) = [f for f in aio.findings if f.rule == "security.root"]
    assert finding.waiver and finding.waiver["reason"]
    assert (
        aio.get("Namespace", "soundspan")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        == "baseline"
    )
    labels = Release("soundspan", soundspan_mode="individual").get("Namespace", "soundspan")["metadata"][
        "labels"
    ]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.req("SS-01")
def test_another_mode_is_refused() -> None:
    with pytest.raises(
        BadValues, match=r"mode = 'separate': It is not one of modes. Fix: one of: all_in_one, individual"
    ):
        Release("soundspan", soundspan_mode="separate")


@pytest.mark.req("SS-10", "SS-11", "SS-12", "SS-13", "SS-14", "SS-15", "SS-16", "SS-78")
@pytest.mark.parametrize(
    ("name", "image", "port", "component"),
    [
        ("soundspan-backend", "soundspan-backend", 3006, "backend"),
        ("soundspan-backend-worker", "soundspan-backend-worker", None, "backend-worker"),
        ("soundspan-frontend", "soundspan-frontend", 3030, "frontend"),
        ("soundspan-audio-analyzer", "soundspan-audio-analyzer", None, "audio-analyzer"),
        ("soundspan-audio-analyzer-clap", "soundspan-audio-analyzer-clap", None, "audio-analyzer-clap"),
        ("soundspan-tidal", "soundspan-tidal-downloader", 8585, "tidal-sidecar"),
        ("soundspan-ytmusic", "soundspan-ytmusic-streamer", 8586, "ytmusic-streamer"),
    ],
)
def test_images_ports_and_labels(
    individual: Release, name: str, image: str, port: int | None, component: str
) -> None:
    assert individual.container(name)["image"] == f"ghcr.io/soundspan/{image}:main"
    ports = [
        p["port"] for s in ([individual.get("Service", name)] if port else []) for p in s["spec"]["ports"]
    ]
    assert ports == ([port] if port else [])
    if port is None:
        assert name not in individual.names("Service")
    labels = individual.get("Deployment", name)["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == component
    assert labels["app"] == name


@pytest.mark.req("SS-17")
def test_one_variable_switches_every_image() -> None:
    released = Release("soundspan", soundspan_mode="individual", soundspan_channel="1.4.0")
    images = {
        c["image"]
        for c in map(released.container, released.names("Deployment"))
        if "soundspan/" in c["image"]
    }
    assert {image.rpartition(":")[2] for image in images} == {"1.4.0"}
    assert released.container("soundspan-backend")["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.req("SS-07")
def test_a_sidecar_adds_its_three_objects_and_nothing_else() -> None:
    without = Release("soundspan", soundspan_mode="individual")
    with_it = Release(
        "soundspan", {"services": {"soundspan-tidal": {"enabled": True}}}, soundspan_mode="individual"
    )

    def keys(found: Release) -> set[tuple[str, str]]:
        return {(m["kind"], m["metadata"]["name"]) for m in found.rendered.manifests}

    assert keys(with_it) - keys(without) == {
        ("Deployment", "soundspan-tidal"),
        ("Service", "soundspan-tidal"),
        ("PersistentVolumeClaim", "soundspan-tidal-tidal-data"),
    }
    assert keys(without) <= keys(with_it)


@pytest.mark.req("SS-19", "SS-20", "SS-21", "SS-22", "SS-23", "SS-24", "SS-25", "SS-59")
def test_volumes(individual: Release) -> None:
    for name in ("soundspan-backend", "soundspan-tidal", "soundspan-ytmusic", "soundspan-audio-analyzer"):
        claims = [
            v["persistentVolumeClaim"]["claimName"]
            for v in individual.pod(name)["volumes"]
            if "persistentVolumeClaim" in v
        ]
        assert "my-music-pvc" in claims
    for claim in (
        "backend-downloads",
        "backend-cache",
        "backend-logs",
        "tidal-tidal-data",
        "ytmusic-ytmusic-data",
    ):
        spec = individual.get("PersistentVolumeClaim", f"soundspan-{claim}")["spec"]
        assert spec["accessModes"] == ["ReadWriteOnce"]
    (template,) = individual.get("StatefulSet", "postgres")["spec"]["volumeClaimTemplates"]
    assert template["metadata"]["name"] == "postgres-data"
    assert "my-music-pvc" not in individual.names("PersistentVolumeClaim")


@pytest.mark.req("SS-27")
def test_individual_pods_are_user_1000_on_a_read_only_root(individual: Release) -> None:
    for name in individual.names("Deployment"):
        if not name.startswith("soundspan-"):
            continue
        pod = individual.pod(name)["securityContext"]
        assert (pod["runAsNonRoot"], pod["runAsUser"], pod["runAsGroup"], pod["fsGroup"]) == (
            True,
            1000,
            1000,
            1000,
        )
        assert individual.container(name)["securityContext"]["readOnlyRootFilesystem"] is True
        assert "/tmp" in [mount["mountPath"] for mount in individual.container(name)["volumeMounts"]]


@pytest.mark.req("SS-29", "SS-30", "SS-31", "SS-32", "SS-33")
@pytest.mark.parametrize(
    ("name", "live", "ready", "port"),
    [
        ("soundspan-backend", "/health/live", "/health/ready", 3006),
        ("soundspan-backend-worker", "/health/live", "/health/ready", 3010),
        ("soundspan-frontend", "/health/live", "/health/ready", 3030),
        ("soundspan-tidal", "/health", "/health", 8585),
        ("soundspan-ytmusic", "/health", "/health", 8586),
    ],
)
def test_http_probes(individual: Release, name: str, live: str, ready: str, port: int) -> None:
    container = individual.container(name)
    assert container["livenessProbe"]["httpGet"] == {"path": live, "port": port}
    assert container["readinessProbe"]["httpGet"] == {"path": ready, "port": port}


@pytest.mark.req("SS-34", "SS-35")
def test_analyzers_are_asked_by_a_command(individual: Release) -> None:
    for name in ("soundspan-audio-analyzer", "soundspan-audio-analyzer-clap"):
        assert individual.container(name)["livenessProbe"]["exec"]["command"]


@pytest.mark.req("SS-37", "SS-38", "SS-39", "SS-40", "SS-41", "SS-42", "SS-43")
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("soundspan-backend", "250m/256Mi -> 2000m/1Gi"),
        ("soundspan-frontend", "100m/128Mi -> 1000m/512Mi"),
        ("soundspan-tidal", "100m/128Mi -> 2000m/512Mi"),
        ("soundspan-ytmusic", "100m/128Mi -> 1000m/512Mi"),
        ("soundspan-audio-analyzer", "500m/1Gi -> 4000m/6Gi"),
        ("soundspan-audio-analyzer-clap", "500m/1Gi -> 4000m/3Gi"),
    ],
)
def test_resources(individual: Release, name: str, wanted: str) -> None:
    assert individual.resources(name) == wanted


@pytest.mark.req("SS-06", "SS-44", "SS-45", "SS-46", "SS-47")
def test_ha_expands_to_replicas_surge_budgets_and_spread(ha: Release) -> None:
    for name in ("soundspan-backend", "soundspan-frontend"):
        spec = ha.get("Deployment", name)["spec"]
        assert spec["replicas"] == 2
        assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
        assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
        assert ha.get("PodDisruptionBudget", name)["spec"]["minAvailable"] == 1


@pytest.mark.req("SS-06", "SS-44", "SS-45", "SS-46")
def test_what_a_service_says_itself_wins_over_ha() -> None:
    own = {
        "services": {
            "soundspan-backend": {"replicas": 3, "pdb": {"min_available": 2}, "topology_spread": False},
            "soundspan-frontend": {"pdb": {"enabled": False}, "strategy": {"max_unavailable": 1}},
        },
    }
    found = Release("soundspan", own, soundspan_mode="individual", soundspan_ha=True, **EXTERNAL_REDIS)
    assert found.get("Deployment", "soundspan-backend")["spec"]["replicas"] == 3
    assert found.get("PodDisruptionBudget", "soundspan-backend")["spec"]["minAvailable"] == 2
    assert "topologySpreadConstraints" not in found.pod("soundspan-backend")
    assert "soundspan-frontend" not in found.names("PodDisruptionBudget")
    rolling = found.get("Deployment", "soundspan-frontend")["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxSurge": 1, "maxUnavailable": 1}


@pytest.mark.req("SS-48", "SS-49")
def test_scaling_wants_a_redis_that_survives(ha: Release) -> None:
    with pytest.raises(BadValues, match="single point of failure"):
        Release("soundspan", soundspan_mode="individual", soundspan_ha=True)
    assert "redis" not in ha.names("Deployment")
    sentinel = Release(
        "soundspan",
        {"data_services": {"redis": {"sentinel": True}}},
        soundspan_mode="individual",
        soundspan_ha=True,
    )
    assert "redis-sentinel" in sentinel.names("Deployment")


@pytest.mark.req("SS-48")
@pytest.mark.parametrize("name", ["soundspan-backend", "soundspan-backend-worker"])
def test_neither_api_nor_worker_scales_on_one_redis_pod(name: str) -> None:
    more = {"services": {name: {"replicas": 2, "volumes": {"cache": None, "logs": None, "downloads": None}}}}
    with pytest.raises(BadValues, match=rf"services.{name}.replicas.*single point of failure"):
        Release("soundspan", more, soundspan_mode="individual")
    shared = Release("soundspan", more, soundspan_mode="individual", **EXTERNAL_REDIS)
    assert shared.get("Deployment", name)["spec"]["replicas"] == 2


@pytest.mark.req("SS-49", "SS-57")
@pytest.mark.parametrize(("host", "services"), [("redis", ["redis"]), ("redis.example.net", [])])
def test_clients_talk_to_the_redis_they_wait_for(host: str, services: list[str]) -> None:
    found = Release("soundspan", soundspan_mode="individual", soundspan_redis_host=host)
    assert [name for name in found.names("Service") if name == "redis"] == services
    for name in ("soundspan-backend", "soundspan-backend-worker"):
        assert found.env(name)["REDIS_URL"] == f"redis://{host}:6379/0"
        (wait,) = [one for one in found.pod(name)["initContainers"] if one["name"] == "wait-for-redis"]
        assert wait["command"][-3:-1] == [host, "6379"]


@pytest.mark.req("SS-50", "SS-51", "SS-52", "SS-53", "SS-54", "SS-55", "SS-56", "SS-57", "SS-58")
def test_environment_of_the_backend(individual: Release) -> None:
    env = individual.env("soundspan-backend")
    for name in ("REDIS_ADAPTER", "STATE_SYNC", "STATE_STORE", "MUTATION_LOCK"):
        assert env[f"LISTEN_TOGETHER_{name}_ENABLED"] == "true"
    assert env["LISTEN_TOGETHER_ALLOW_POLLING"] == "false"
    assert individual.env("soundspan-frontend")["LISTEN_TOGETHER_ALLOW_POLLING"] == "false"
    assert env["LISTEN_TOGETHER_RECONNECT_SLO_MS"] == "5000"
    assert env["SCHEDULER_CLAIM_SKIP_WARN_THRESHOLD"] == "3"
    assert env["READINESS_REQUIRE_DEPENDENCIES"] == "true"
    assert {"READINESS_DEPENDENCY_CHECK_INTERVAL_MS", "READINESS_DEPENDENCY_CHECK_TIMEOUT_MS"} <= set(env)


@pytest.mark.req("SS-54")
def test_polling_wants_sticky_sessions() -> None:
    service: dict[str, Any] = {"env": {"LISTEN_TOGETHER_ALLOW_POLLING": True}}
    with pytest.raises(BadValues, match="sticky_sessions"):
        Release("soundspan", {"services": {"soundspan-backend": service}}, soundspan_mode="individual")
    service["sticky_sessions"] = True
    Release("soundspan", {"services": {"soundspan-backend": service}}, soundspan_mode="individual")


@pytest.mark.req("SS-18", "SS-63")
def test_without_the_worker_the_backend_does_everything(individual: Release) -> None:
    assert individual.env("soundspan-backend")["BACKEND_PROCESS_ROLE"] == "api"
    off = {"services": {"soundspan-backend-worker": {"enabled": False}}}
    alone = Release("soundspan", off, soundspan_mode="individual")
    assert alone.env("soundspan-backend")["BACKEND_PROCESS_ROLE"] == "all"
    assert "soundspan-backend-worker" not in alone.names("Deployment")


@pytest.mark.req("SS-60", "SS-61")
def test_four_ways_out_of_replicas_on_one_claim() -> None:
    def with_cache(**cache: Any) -> Release:
        volumes = {
            "cache": {"mount": "/app/cache", **cache},
            "logs": {"enabled": False},
            "downloads": {"enabled": False},
        }
        backend = {"replicas": 2, "volumes": volumes}
        return Release(
            "soundspan",
            {"services": {"soundspan-backend": backend}},
            soundspan_mode="individual",
            **EXTERNAL_REDIS,
        )

    with pytest.raises(BadValues) as failure:
        with_cache()
    for way in ("ReadWriteMany", "existing_claim", "empty_dir", "enabled: false"):
        assert way in str(failure.value)
    with_cache(access="ReadWriteMany", rwx_capable=True)
    with_cache(existing_claim="shared-cache", size=None)
    with_cache(empty_dir=True, size=None)
    with_cache(enabled=False)
    with_cache(single_node_shared=True)


@pytest.mark.req("SS-26")
def test_many_writers_only_where_something_offers_it() -> None:
    with pytest.raises(BadValues, match=r"claims.music.access.*nfs") as failure:
        Release("soundspan", {"claims": {"music": {"existing": None, "storage_class": "nfs"}}})
    assert "static_host_path" in str(failure.value)
    Release(
        "soundspan", {"claims": {"music": {"existing": None, "storage_class": "nfs", "rwx_capable": True}}}
    )


@pytest.mark.req("SS-02", "SS-03", "SS-04", "SS-05")
def test_chart_values_of_each_form(aio: Release, individual: Release, ha: Release) -> None:
    music = {"music": {"persistence": {"existingClaim": "my-music-pvc"}}}
    assert aio.values["helm"]["repository"] == "https://soundspan.github.io/soundspan"
    assert (aio.values["helm"]["chart"], aio.values["helm"]["release"]) == (
        "soundspan/soundspan",
        "soundspan",
    )
    assert aio.values["helm"]["values"] == music
    assert individual.values["helm"]["values"] == {
        **music,
        "deploymentMode": "individual",
        "tidalSidecar": {"enabled": True},
        "ytmusicStreamer": {"enabled": True},
    }
    assert ha.values["helm"]["values"] == {
        **music,
        "deploymentMode": "individual",
        "haMode": {"enabled": True},
    }
