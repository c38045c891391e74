"""PromQL expressions and the selectors in them: of the shapes that rules of kubernetes-mixin and node-mixin have."""

from __future__ import annotations

EXPRESSIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("vector(1)", ()),
    ("vector(1) and on () hour() > 5", ()),
    ("1 > bool 0", ()),
    ("time() - 0x1f > bool 1e-5 * .5 * Inf", ()),
    ("up == 0", ("up",)),
    ("-foo % 2 ^ bar", ("foo", "bar")),
    ('up{job="a",} == 0', ('up{job="a"}',)),
    ("job:errors:rate5m > 1", ("job:errors:rate5m",)),
    ('{__name__=~"a|b", x!~"c"}', ('{__name__=~"a|b", x!~"c"}',)),
    ("{\"my.metric\", a='b'} > 1", ("{\"my.metric\", a='b'}",)),
    ('x{a="}{", b="\\"(", c=`[5m]`} > 1', ('x{a="}{", b="\\"(", c=`[5m]`}',)),
    ("foo # bar{}\n + baz", ("foo", "baz")),
    ("foo > 1 or foo > 2", ("foo",)),
    ("sum(foo) by (by) > on () count(bar)", ("foo", "bar")),
    ("Sum without (on, instance) (foo) OR bar", ("foo", "bar")),
    ("topk by (x) (5, foo) unless bar", ("foo", "bar")),
    ('count_values("v", foo) > 3', ("foo",)),
    ("count > 3", ("count",)),
    ('sum{a="b"} > 3 and group', ('sum{a="b"}', "group")),
    ("rate(foo[5m] offset -1h) / foo offset 1d", ("foo",)),
    ("foo @ 1609746000 + bar @ end() + baz offset 5m @ start()", ("foo", "bar", "baz")),
    ("max_over_time(rate(foo[5m])[1h:1m]) > 0", ("foo",)),
    ("absent(foo{a='b'}) or absent_over_time(bar[1h])", ("foo{a='b'}", "bar")),
    ('label_replace(foo, "node", "$1", "instance", "(.*):.*") > 1', ("foo",)),
    (
        'sum by (namespace, pod) (max by(namespace, pod) (kube_pod_status_phase{job="ksm", phase=~"Pending|Unknown"})'
        " * on(namespace, pod) group_left(owner_kind) topk by(namespace, pod) "
        '(1, max by(namespace, pod, owner_kind) (kube_pod_owner{owner_kind!="Job"}))) > 0',
        ('kube_pod_status_phase{job="ksm", phase=~"Pending|Unknown"}', 'kube_pod_owner{owner_kind!="Job"}'),
    ),
    (
        "(predict_linear(node_filesystem_avail_bytes{fstype!=''}[6h], 24*60*60) < 0 and "
        "node_filesystem_readonly{fstype!=''} == 0)",
        ("node_filesystem_avail_bytes{fstype!=''}", "node_filesystem_readonly{fstype!=''}"),
    ),
    (
        'histogram_quantile(0.99, sum(rate(d_bucket{verb!~"WATCH"}[5m])) without(instance, pod)) > 1',
        ('d_bucket{verb!~"WATCH"}',),
    ),
)
"""Each is valid PromQL, and the selectors are in their order, each once; the real server parses them to the same."""
