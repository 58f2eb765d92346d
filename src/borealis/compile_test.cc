#include "borealis/compile.h"

#include <gtest/gtest.h>

#include <string>

#include "plan/definitions.h"
#include "plan/unbound_text.h"

namespace backstream::borealis {
namespace {

/// Diagrams over `flows` with what the fields that these tests read are.
std::string document(const std::string& boxes, const std::string& output = "out") {
  return R"(<borealis>
<schema name="flow">
 <field name="time" type="timestamp"/><field name="src_as" type="long"/><field name="dst_as" type="long"/>
 <field name="octets" type="long"/><field name="packets" type="int"/><field name="dPkts" type="int"/>
 <field name="srcaddr" type="long"/><field name="dst_ip" type="int"/><field name="dst_port" type="short"/>
 <field name="site" type="string" size="16"/><field name="flow_end" type="int"/>
</schema>
<input stream="flows" schema="flow"/>
)" + boxes +
         "\n<output stream=\"" + output + "\"/>\n</borealis>\n";
}
std::string box(const std::string& type, const std::string& in, const std::string& out, const std::string& parameters) {
  return "<box name=\"" + out + "_box\" type=\"" + type + "\"><in stream=\"" + in + "\"/><out stream=\"" + out +
         "\"/>" + parameters + "</box>";
}
std::string parameter(const std::string& name, const std::string& value) {
  return "<parameter name=\"" + name + "\" value=\"" + value + "\"/>";
}

/// The SELECT that the diagram is, or the rendered error.
std::string sql_of(const std::string& xml) {
  auto statements = parse(xml, "test.xml");
  if (!statements) return statements.error().render();
  plan::Definitions definitions(true);
  auto& statement = statements->front();
  auto select = statement.maker->make(definitions.catalog());
  if (!select) return base::locate(select.error(), "test.xml", xml).render();
  statement.select = std::move(*select);
  statement.options.clear();
  auto text = plan::to_sql(statement);
  if (!text) return base::locate(text.error(), "test.xml", xml).render();
  auto bound = definitions.bind(statement, xml);
  if (!bound) return base::locate(bound.error(), "test.xml", xml).render() + *text;
  return *text;
}

TEST(Compile, AMatrixIsTheQueryOfSql) {
  EXPECT_EQ(sql_of(document(box(
                "aggregate", "flows", "out",
                parameter("aggregate-function.0", "sum(octets)") +
                    parameter("aggregate-function-output-name.0", "octets") + parameter("group-by", "src_as, dst_as") +
                    parameter("window-size-by", "VALUES") + parameter("window-size", "300") +
                    parameter("advance", "300") + parameter("order-by", "FIELD") + parameter("order-on-field", "time") +
                    parameter("independent-window-alignment", "1") + parameter("drop-empty-outputs", "1")))),
            "");
}

}  // namespace
}  // namespace backstream::borealis
