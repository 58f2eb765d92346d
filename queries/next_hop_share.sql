-- Next-hop share: what part of each router's traffic goes to each next hop, every five minutes. Shows a peer that takes
-- over another's load, and a route that leaks. No threshold; percent is of the exporter's own traffic in the window.
-- The peer AS instead of the router: write dst_as for next_hop where routers export the peer AS.
-- Source: operators' peering reports (cflowd, "next hop" and "peer AS" tables).
CREATE MATERIALIZED VIEW next_hop_share AS
SELECT window_start, exporter, next_hop, sum(octets) AS octets,
       100.0 * sum(octets) / nullif(sum(sum(octets)) OVER (PARTITION BY window_start, exporter), 0) AS percent
FROM tumble(flows, time, interval '300 s')
GROUP BY window_start, exporter, next_hop;
