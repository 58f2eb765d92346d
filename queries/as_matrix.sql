-- AS matrix: octets, packets and flows from AS to AS over all points of presence, every five minutes. AS 0, which
-- exporters without a routing table send, is filled from the table routes by the longest prefix; 0 remains where it has
-- none. No threshold.
-- Source: query A of BackStreamDB, for exporters that do not know ASes; cflowd's AS matrix.
CREATE MATERIALIZED VIEW as_matrix AS
SELECT window_start, coalesce(nullif(f.src_as, 0), s.origin_as, 0) AS src_as,
       coalesce(nullif(f.dst_as, 0), d.origin_as, 0) AS dst_as,
       sum(f.octets) AS octets, sum(f.packets) AS packets, count(*) AS flows
FROM tumble(flows, time, interval '300 s') f
     LEFT JOIN lpm(routes, f.src_ip) s ON true
     LEFT JOIN lpm(routes, f.dst_ip) d ON true
GROUP BY 1, 2, 3;
