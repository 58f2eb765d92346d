-- Brute force: many sources that try to log in at one host: flows to SSH, Telnet, RDP or VNC of the same number of
-- octets, from more than 40 sources in a minute. Failed log-ins look alike, so they agree in octets; people's sessions
-- do not. Threshold: 40 sources. Ports are the list to set. With sampling octets of a flow vary with the packets that
-- were seen: use octets / packets there.
-- Source: Sonata (SIGCOMM 2018), query 2 (SSH brute force); NetQRE.
CREATE MATERIALIZED VIEW brute_force AS
SELECT window_start, dst_ip, dst_port, octets_raw AS octets_each, count(DISTINCT src_ip) AS sources, count(*) AS flows
FROM tumble(flows, time, interval '60 s')
WHERE protocol = 6 AND dst_port IN (22, 23, 3389, 5900)
GROUP BY window_start, dst_ip, dst_port, octets_raw
HAVING count(DISTINCT src_ip) > 40;
