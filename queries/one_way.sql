-- One-way traffic: hosts that send TCP to another and get no answer, every five minutes: a broken return path, a
-- firewall, a flood with false addresses, or a return way past no exporter of ours. Threshold: 20 packets. Long one-way
-- UDP is normal (media), so it is left out.
-- Source: Brownlee, "One-way traffic monitoring with iatmon" (PAM 2012); peer-to-peer detection by unanswered flows.
CREATE MATERIALIZED VIEW one_way AS
SELECT window_start, min(src_ip) AS src_ip, min(dst_ip) AS dst_ip, sum(packets) AS packets, sum(octets) AS octets,
       count(*) AS flows
FROM tumble(flows, time, interval '300 s')
WHERE protocol = 6
GROUP BY window_start, least(src_ip, dst_ip), greatest(src_ip, dst_ip)
HAVING count(DISTINCT src_ip) = 1 AND sum(packets) >= 20;
