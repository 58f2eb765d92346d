-- DSCP mix: octets to each customer by the code point of differentiated services, every five minutes: who gets (and has
-- to pay) expedited traffic, and who marks what he may not. dscp is the upper six bits of tos: 46 is EF, 0 best effort.
-- No threshold.
-- Source: RFC 2474; operators' class-of-service reports.
CREATE MATERIALIZED VIEW dscp_mix AS
SELECT window_start, c.customer, f.tos >> 2 AS dscp, sum(f.octets) AS octets, sum(f.packets) AS packets
FROM tumble(flows, time, interval '300 s') f
     LEFT JOIN lpm(customers, f.dst_ip) c ON true
GROUP BY 1, 2, 3;
