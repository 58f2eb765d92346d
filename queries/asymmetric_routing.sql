-- Asymmetric routing: pairs of hosts whose two directions pass different sites, every five minutes. Firewalls and delay
-- measurements fail there. A pair is told when no site saw both ways. Threshold: 10 packets each way, so that a lost
-- record does not count. Needs inputs with site labels; packet sampling hides small pairs.
-- Source: operators' reports of forward and reverse path (Flowmon, Kentik).
CREATE MATERIALIZED VIEW asymmetric_routing AS
SELECT window_start, least(src_ip, dst_ip) AS a, greatest(src_ip, dst_ip) AS b,
       min(site) FILTER (WHERE src_ip < dst_ip) AS site_ab, min(site) FILTER (WHERE src_ip > dst_ip) AS site_ba,
       sum(packets) FILTER (WHERE src_ip < dst_ip) AS packets_ab, sum(packets) FILTER (WHERE src_ip > dst_ip) AS packets_ba
FROM tumble(flows, time, interval '300 s')
GROUP BY 1, 2, 3
HAVING sum(packets) FILTER (WHERE src_ip < dst_ip) >= 10 AND sum(packets) FILTER (WHERE src_ip > dst_ip) >= 10
   AND count(DISTINCT site) FILTER (WHERE src_ip < dst_ip) + count(DISTINCT site) FILTER (WHERE src_ip > dst_ip)
       = count(DISTINCT site);
