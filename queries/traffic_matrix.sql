-- Traffic matrix: octets from AS to AS, every five minutes. Who exchanges how much with whom: peering, capacity, cost.
-- No threshold. Exporters that do not know ASes send 0, which is a row like any other. Packets and flows beside the
-- octets, and AS 0 filled from a routing table: as_matrix.sql.
-- Source: query A of BackStreamDB (Lyra, Hara, Duarte, PAM 2012); cflowd's AS matrix.
CREATE MATERIALIZED VIEW traffic_matrix AS
SELECT window_start, src_as, dst_as, sum(octets) AS octets
FROM tumble(flows, time, interval '300 s')
GROUP BY window_start, src_as, dst_as;
