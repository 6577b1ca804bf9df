// The labels of a corpus beside those of the classification head that a model brings: a head's rows
// stand in the order of config.json's id2label, a corpus's labels in the order in which it was
// prepared.

internal import Transformers

/// The row of a model's head for each label of a corpus.
struct LabelOrder: Equatable {
  /// For each label of the corpus, the row of the head; nil where the order is the same, or
  /// unknown.
  var rows: [Int]?
  /// A line for the user.
  var notice: String

  /// The order where both know the names of their labels; else the rows stay as they are.
  /// - Parameters:
  ///   - names: Of the corpus, label by label; empty where it has none.
  ///   - head: The head, with as many labels.
  init(of names: [String], in head: PretrainedModel.StoredHead) {
    notice = "training starts from the model's own classification head of \(head.labels) labels"
    guard let known = head.labelNames, names.count == head.labels else {
      if head.labelNames != nil || !names.isEmpty {
        notice +=
          ", row by row, for \(names.isEmpty ? "the corpus" : "the model's config.json (id2label)")"
          + " does not name them"
      }
      return
    }
    if let rows = Self.rows(of: names, in: known)
      ?? Self.rows(of: names.map { $0.lowercased() }, in: known.map { $0.lowercased() })
    {
      guard rows != Array(names.indices) else { return }
      self.rows = rows
      notice += ", its rows put into the corpus's order: " + Self.list(names)
      return
    }
    notice +=
      ", but their names differ, so its rows are taken as they are: the corpus has \(Self.list(names)),"
      + " config.json (id2label) \(Self.list(known)); rename the labels, or remove the head"
  }

  private static func rows(of names: [String], in known: [String]) -> [Int]? {
    guard Set(names) == Set(known), Set(names).count == names.count else { return nil }
    return names.compactMap { known.firstIndex(of: $0) }
  }

  private static func list(_ names: [String]) -> String {
    let shown = names.prefix(30).joined(separator: ", ")
    return names.count > 30 ? shown + " and \(names.count - 30) more" : shown
  }
}
