-- Prefix matrix: the hundred pairs of prefixes that exchanged most, every five minutes. Finer than ASes, coarser than
-- hosts: which routes carry the traffic. The prefixes are those that the routers used (their masks); flows without a
-- mask are counted by /24 and /48. LIMIT sets how many pairs are kept.
-- Source: cflowd's net matrix.
CREATE MATERIALIZED VIEW prefix_matrix AS
SELECT window_start,
       coalesce(src_prefix, network(set_masklen(src_ip, CASE family(src_ip) WHEN 4 THEN 24 ELSE 48 END))) AS src,
       coalesce(dst_prefix, network(set_masklen(dst_ip, CASE family(dst_ip) WHEN 4 THEN 24 ELSE 48 END))) AS dst,
       sum(octets) AS octets, sum(packets) AS packets, count(*) AS flows
FROM tumble(flows, time, interval '300 s')
GROUP BY 1, 2, 3
ORDER BY octets DESC
LIMIT 100;
