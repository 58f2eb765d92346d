-- Octets, packets and flows by IP protocol and version, every minute.
CREATE MATERIALIZED VIEW protocol_mix AS
SELECT window_start, family(src_ip) AS ip_version, protocol, sum(octets) AS octets, sum(packets) AS packets, count(*) AS flows
FROM tumble(flows, time, interval '60 s')
GROUP BY window_start, family(src_ip), protocol;
