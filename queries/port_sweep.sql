-- Port sweep: one source that tries many ports of one destination with single packets, every minute. Threshold: more
-- than 100 ports a minute; flow-dscan takes 64 ports below 1024. Lower it where nothing but scans sends single packets;
-- raise it behind NAT gateways. With packet sampling 1 in N only a part of the probes is seen: a threshold of 100 then
-- means about 100 * N.
-- Source: query B of BackStreamDB (PAM 2012); flow-dscan.
CREATE MATERIALIZED VIEW port_sweep AS
SELECT window_start, src_ip, dst_ip, count(DISTINCT dst_port) AS ports
FROM tumble(flows, time, interval '60 s')
WHERE packets_raw = 1
GROUP BY window_start, src_ip, dst_ip
HAVING count(DISTINCT dst_port) > 100;
