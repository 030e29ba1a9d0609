"""Applications as hypothesis draws them: whatever the schema allows, good and bad together."""

from __future__ import annotations

from hypothesis import strategies as st

NAMES = st.sampled_from(["web", "api", "worker", "frontend", "search"])
RESOURCES = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
ENV = st.dictionaries(
    st.sampled_from(["A", "B", "MODE", "LEVEL"]),
    st.one_of(
        st.booleans(),
        st.integers(0, 99),
        st.sampled_from(["x", "$(A)", ""]),
        st.just({"field": "metadata.name"}),
    ),
    max_size=3,
)
VOLUME = st.one_of(
    st.just("/scratch"),
    st.just({"mount": "/data", "size": "1Gi"}),
    st.just({"mount": "/cache", "empty_dir": True}),
    st.just({"mount": "/etc/app", "config": "settings"}),
)
SERVICE = st.fixed_dictionaries(
    {"health": st.just("/health"), "resources": st.just(RESOURCES), "port": st.integers(1, 65535)},
    optional={
        "replicas": st.integers(0, 4),
        "env": ENV,
        "config": st.just(["settings"]),
        "secrets": st.just(["keys"]),
        "pdb": st.one_of(st.booleans(), st.just({"min_available": 1}), st.just({"max_unavailable": 1})),
        "strategy": st.sampled_from(["rolling", "recreate", {"max_surge": "25%", "max_unavailable": 0}]),
        "autoscaling": st.just({"min": 1, "max": 3}),
        "topology_spread": st.booleans(),
        "volumes": st.dictionaries(st.sampled_from(["one", "two"]), VOLUME, max_size=2),
        "wait_for": st.sampled_from([{"postgres": 60}, ["postgres"], [{"host": "db.example", "port": 1}]]),
        "order": st.integers(0, 3),
        "enabled": st.booleans(),
    },
)
CRON_JOB = st.fixed_dictionaries(
    {
        "image": st.just("x.example/job:1.0.0"),
        "schedule": st.sampled_from(["0 2 * * *", "*/5 * * * 1-5"]),
        "resources": st.just(RESOURCES),
    },
    optional={"time_zone": st.just("Europe/Berlin"), "retries": st.integers(0, 3), "suspend": st.booleans()},
)
PATH = st.fixed_dictionaries(
    {"service": st.just("web"), "port": st.just(8080), "path": st.sampled_from(["/", "/api", "/a/b"])},
    optional={
        "rate_limit": st.just({"average": 5, "burst": 10}),
        "response_headers": st.sampled_from([{}, {"Cache-Control": "private"}]),
    },
)
INGRESS = st.fixed_dictionaries(
    {
        "class": st.sampled_from(["traefik", "nginx"]),
        "hosts": st.lists(
            st.fixed_dictionaries(
                {
                    "host": st.sampled_from(["a.example", "b.example"]),
                    "paths": st.lists(PATH, min_size=1, max_size=2),
                }
            ),
            max_size=2,
        ),
        "tls": st.sampled_from(
            [
                {"provider": "none"},
                {"provider": "self_signed"},
                {"provider": "provided", "secret": "certificate"},
                {"provider": "traefik_acme"},
                {"provider": "cert_manager", "issuer": "letsencrypt", "acme": {"email": "ops@example.net"}},
                {
                    "provider": "cert_manager",
                    "issuer": "own",
                    "issuer_kind": "Issuer",
                    "acme": {"email": "a@b.example"},
                },
            ]
        ),
    },
    optional={
        "redirect_https": st.booleans(),
        "rate_limit": st.just({"average": 100}),
        "response_headers": st.just({"Cache-Control": "no-store"}),
    },
)
SECRETS = st.sampled_from(
    [
        {},
        {"remote": {"provider": "external", "data": {"TOKEN": "prod/token"}, "store": {"name": "vault"}}},
        {"remote": {"provider": "csi", "data": {"TOKEN": "prod/token"}, "parameters": {"roleName": "app"}}},
        {"made": {"generate": {"PASSWORD": 24}}},
    ]
).map(lambda more: {"keys": {"values": {"TOKEN": "canary-8f3a"}}, **more})
APPLICATION = st.fixed_dictionaries(
    {
        "name": st.just("app"),
        "profile": st.sampled_from(["single", "ha", "custom"]),
        "services": st.dictionaries(NAMES, SERVICE, max_size=4),
        "config": st.just({"settings": {"KEY": "value"}}),
        "secrets": SECRETS,
        "data_services": st.just(
            {
                "postgres": {
                    "password": {"secret": "keys", "key": "TOKEN"},
                    "storage": {"size": "1Gi"},
                    "resources": RESOURCES,
                }
            }
        ),
    },
    optional={
        "network_policy": st.just({"enabled": True, "egress": True}),
        "version": st.just("1.0"),
        "ingress": INGRESS,
        "cronjobs": st.dictionaries(st.sampled_from(["clean", "report"]), CRON_JOB, max_size=2),
        "migrations": st.just({"schema": {"service": "web", "command": ["migrate"], "resources": RESOURCES}}),
        "service_account": st.just({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
    },
)
