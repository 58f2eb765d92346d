// Texts of the page matrix.
import { words_of } from "./words";

const english = {
  of: "Results of",
  sides: "Sides",
  size: "Size",
  order: "Order",
  orders: { total: "By total", similar: "By likeness" },
  none: "No registered query sets two columns against each other. Register one that groups by window, src_as and dst_as, or by two other columns.",
  largest: (rows: number, columns: number) => `The ${rows} largest of the rows and the ${columns} largest of the columns, over the whole range, ranked by the server.`,
  likeness: "Rows and columns that have the same partners stand together; amounts count by their logarithm.",
  not_all: "The query leaves groups out (LIMIT or HAVING): totals are not known, and an empty cell may have had something.",
  empty_cells: "An empty cell had no row: nothing was counted there.",
  total: "Total",
  others: "Others",
  links: (count: number) => `The ${count} largest; all else that a row sends is "Other".`,
  chord: (count: number) => `Among the ${count} largest. Each end is as wide as what leaves there; all else is not in this picture.`,
  average: (from: string, until: string) => `Averages from ${from} to ${until}.`,
  keys: "Arrow keys walk over the cells, Enter opens the menu of one.",
  summary: (name: string, rows: number, columns: number) => `${name}: ${rows} rows send to ${columns} columns. The same values are in the table.`,
};

const portuguese: typeof english = {
  of: "Resultados de",
  sides: "Lados",
  size: "Tamanho",
  order: "Ordem",
  orders: { total: "Pelo total", similar: "Por semelhança" },
  none: "Nenhuma consulta registrada confronta duas colunas. Registre uma que agrupe por janela, src_as e dst_as, ou por duas outras colunas.",
  largest: (rows, columns) => `As ${rows} maiores das linhas e as ${columns} maiores das colunas, em todo o período, ordenadas pelo servidor.`,
  likeness: "Linhas e colunas com os mesmos parceiros ficam juntas; quantidades contam pelo seu logaritmo.",
  not_all: "A consulta deixa grupos de fora (LIMIT ou HAVING): totais não são conhecidos, e uma célula vazia pode ter tido algo.",
  empty_cells: "Uma célula vazia não teve linha: nada foi contado ali.",
  total: "Total",
  others: "Outros",
  links: (count) => `As ${count} maiores; o resto que uma linha envia é "Outros".`,
  chord: (count) => `Entre as ${count} maiores. Cada ponta é tão larga quanto o que sai dali; o resto não está nesta figura.`,
  average: (from, until) => `Médias de ${from} a ${until}.`,
  keys: "As setas andam pelas células, Enter abre o menu de uma.",
  summary: (name, rows, columns) => `${name}: ${rows} linhas enviam a ${columns} colunas. Os mesmos valores estão na tabela.`,
};

export const matrix_words = words_of(english, portuguese);
