-- Protocol mix: octets, packets and flows by IP version and protocol, every minute. A change of the mix is often the
-- first sign of an attack or of a new service. No threshold.
-- Source: NfSen's standard profile; ntop.
CREATE MATERIALIZED VIEW protocol_mix AS
SELECT window_start, family(src_ip) AS ip_version, protocol, sum(octets) AS octets, sum(packets) AS packets, count(*) AS flows
FROM tumble(flows, time, interval '60 s')
GROUP BY window_start, family(src_ip), protocol;
