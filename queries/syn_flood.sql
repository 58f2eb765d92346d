-- SYN flood: destinations with more than 200 flows of SYN without ACK in five seconds, from more than 50 sources. Both
-- thresholds together keep out a single scanner (one source) and a busy server (flows that have ACK too). With sampling
-- 1 in N divide both by N, but stay above 10. Flow times decide the window, so it works on exports that come a minute
-- later.
-- Source: NetScope's limits (200 SYN in 5 s from 50 sources); Sonata, query 6.
CREATE MATERIALIZED VIEW syn_flood AS
SELECT window_start, dst_ip, dst_port, count(*) AS syn_flows, count(DISTINCT src_ip) AS sources, sum(packets) AS packets
FROM tumble(flows, time, interval '5 s')
WHERE protocol = 6 AND tcp_flags & 18 = 2  -- SYN (2) and not ACK (16)
GROUP BY window_start, dst_ip, dst_port
HAVING count(*) > 200 AND count(DISTINCT src_ip) > 50;
