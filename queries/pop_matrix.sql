-- PoP matrix: octets from the point of presence where traffic comes in to the one where it leaves, every five minutes:
-- what the backbone itself carries. It comes in where the table interfaces has the input interface (role is not internal),
-- and leaves where routes says for the destination (null: no route). A flow that passes several routers is counted
-- once, since between them it comes in over internal interfaces.
-- Source: Feldmann et al., "Deriving traffic demands for operational IP networks" (SIGCOMM 2000).
CREATE MATERIALIZED VIEW pop_matrix AS
SELECT window_start, i.site AS ingress, r.pop AS egress, sum(f.octets) AS octets, sum(f.packets) AS packets, count(*) AS flows
FROM tumble(flows, time, interval '300 s') f
     JOIN interfaces i ON i.exporter = f.exporter AND i.if_index = f.in_if
     LEFT JOIN lpm(routes, f.dst_ip) r ON true
WHERE i.role <> 'internal'
GROUP BY window_start, i.site, r.pop;
