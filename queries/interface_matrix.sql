-- Interface matrix: what each router forwards from interface to interface, in bits and packets a second, every minute.
-- Which link a load comes from before it is moved. No threshold. A flow is counted in the minute in which it ended:
-- routers whose active timeout is longer than a minute show spikes here. Against the speed of the links:
-- link_utilisation.sql.
-- Source: cflowd's interface matrix.
CREATE MATERIALIZED VIEW interface_matrix AS
SELECT window_start, exporter, in_if, out_if, sum(octets) * 8 / 60 AS bits_per_second, sum(packets) / 60 AS packets_per_second
FROM tumble(flows, time, interval '60 s')
GROUP BY window_start, exporter, in_if, out_if;
