// The keys that a user may have meant by a key that does not exist: a path without its beginning
// (`rounds`), a name that other programs use (`lr`), the name of a key of another section, or a
// misspelt one.

internal import Files

extension ExperimentKey {
  /// The most keys that a message suggests.
  private static let mostSuggestions = 4

  /// The paths of keys or sections that may have been meant, the likeliest first.
  ///
  /// - Complexity: A hundred edit distances of at most 100 bytes.
  static func suggestions(for path: String) -> [String] {
    let path = String(path.unicodeScalars.prefix(100))
    let parts = path.split(separator: ".").map(String.init)
    guard let word = parts.last else { return [] }
    let isSuffix = known.filter { $0.hasSuffix("." + path) }
    if !isSuffix.isEmpty { return likeliest(isSuffix, in: "") }
    let section = parts.dropLast().joined(separator: ".")
    if let others = otherNames[word.lowercased().replacingOccurrences(of: "-", with: "_")] {
      let here = others.filter { $0.hasPrefix(section + ".") }
      return here.isEmpty ? others : here
    }
    let sameName = known.filter { lastPart($0) == word }
    if !sameName.isEmpty { return likeliest(sameName, in: section) }
    return misspelt(path, word, section)
  }

  /// The sentence for a message: `did you mean a or b? `; empty where no key is near.
  static func suggestionText(for path: String) -> String {
    let found = suggestions(for: path)
    return found.isEmpty ? "" : "did you mean \(orList(found))? "
  }

  /// All keys and sections.
  private static let known: [String] = {
    var found: [String] = []
    for key in all {
      let parts = key.path.split(separator: ".")
      for count in parts.indices {
        let path = parts[...count].joined(separator: ".")
        if !found.contains(path) { found.append(path) }
      }
    }
    return found
  }()

  private static func lastPart(_ path: String) -> String {
    path.split(separator: ".").last.map(String.init) ?? path
  }

  /// Those of the section first, then those of short paths.
  private static func likeliest(_ paths: [String], in section: String) -> [String] {
    func order(_ path: String) -> Int {
      let isElsewhere = section.isEmpty || !path.hasPrefix(section + ".")
      return (isElsewhere ? 100 : 0) + path.split(separator: ".").count
    }
    // Equal ones in the order of the keys.
    let orders = Set(paths.map(order)).sorted()
    let sorted = orders.flatMap { wanted in paths.filter { order($0) == wanted } }
    return Array(sorted.prefix(mostSuggestions))
  }

  /// The path with the least edit distance, where that is small enough to be a slip.
  private static func misspelt(_ path: String, _ word: String, _ section: String) -> [String] {
    var best = (distance: Int.max, path: "")
    for candidate in known {
      let parts = candidate.split(separator: ".").dropLast()
      let isHere = parts.joined(separator: ".") == section
      let distance = min(
        editDistance(path, candidate),
        editDistance(word, lastPart(candidate)) + (isHere ? 0 : 1))
      if distance < best.distance { best = (distance, candidate) }
    }
    return best.distance <= max(2, word.utf8.count / 2) ? [best.path] : []
  }

  /// Names of keys in other programs and papers.
  private static let otherNames: [String: [String]] = {
    let densities = ["method.download.density", "method.upload.density"]
    return [
      "lr": ["local.learning_rate"], "client_lr": ["local.learning_rate"],
      "local_lr": ["local.learning_rate"], "server_lr": ["federation.server.learning_rate"],
      "wd": ["local.weight_decay"], "mu": ["local.proximal"], "eps": ["local.epsilon"],
      "batch": ["local.batch_size"], "bs": ["local.batch_size"],
      "local_epochs": ["local.epochs"], "num_epochs": ["local.epochs"],
      "num_rounds": ["federation.rounds"], "n_rounds": ["federation.rounds"],
      "clients_per_round": ["federation.cohort_size"], "cohort": ["federation.cohort_size"],
      "num_clients": ["partition.clients"], "n_clients": ["partition.clients"],
      "rank": ["adapter.lora_rank"], "r": ["adapter.lora_rank"],
      "lora_r": ["adapter.lora_rank"], "lora_alpha": ["adapter.alpha"],
      "lora_dropout": ["adapter.dropout"], "target_modules": ["adapter.targets"],
      "sparsity": densities, "down_density": [densities[0]], "up_density": [densities[1]],
      "max_seq_length": ["data.max_length"], "max_seq_len": ["data.max_length"],
      "seq_len": ["data.max_length"], "dataset": ["data.path"], "corpus": ["data.path"],
      "model_name": ["model.path"], "noise": ["privacy.noise_multiplier"],
      "sigma_noise": ["privacy.noise_multiplier"],
    ]
  }()
}
