// The fields of a configuration file beside a list of all fields that its writer knows: each is
// computed, has no effect on results, or is refused unless it has a value that changes nothing.
// A field that the list lacks is reported.

/// The meaning of a field for this program.
public enum FieldMeaning: Sendable {
  /// The field is read; its reader refuses values that cannot be computed.
  case computed
  /// No value of the field changes results.
  case withoutEffect
  /// The field is refused unless it is null or one of these values, which change nothing.
  case only([JSONValue])
}

/// A field that cannot be used: its name, its value and a value that can.
public struct FieldProblem: Error, CustomStringConvertible, Sendable {
  /// The line.
  public let description: String

  /// A problem in one line, which names the field.
  public init(_ description: String) { self.description = description }
}

/// The fields of one object of a configuration file.
///
/// A field that is null counts as missing, as in the libraries that write such files.
public struct ConfigurationFields: Sendable {
  private let members: [String: JSONValue]
  /// Stands before the names in messages: `rope_parameters.` or nothing.
  private let prefix: String
  /// What this file calls a field that is asked for by another name.
  private var spelling: [String: String] = [:]

  /// The fields of an object.
  /// - Throws: `FieldProblem` where the value is no object.
  public init(_ value: JSONValue, prefix: String = "") throws {
    guard case .object(let members) = value else {
      let name = prefix.isEmpty ? "the file" : String(prefix.dropLast())
      throw FieldProblem("\(name) is \(value.excerpt); an object was expected")
    }
    self.members = members
    self.prefix = prefix
  }

  /// The same fields, of which some are called otherwise: name that is asked for to name in the file.
  public func spelled(_ spelling: [String: String]) -> ConfigurationFields {
    var fields = self
    fields.spelling = spelling
    return fields
  }

  /// The value of a field; nil where it is missing or null.
  public subscript(name: String) -> JSONValue? {
    guard let value = members[spelling[name] ?? name], value != .null else { return nil }
    return value
  }

  /// The name of a field in the file, for messages.
  public func shown(_ name: String) -> String { prefix + (spelling[name] ?? name) }

  /// The names of all fields, sorted.
  public var names: [String] { members.keys.sorted() }

  /// True if the file has the field, even if it is null.
  public func has(_ name: String) -> Bool { members[spelling[name] ?? name] != nil }

  /// Compares all fields with a list.
  /// - Returns: The names that the list lacks, sorted.
  /// - Throws: `FieldProblem` for the first field with a value that is not supported.
  public func check(against meanings: [String: FieldMeaning]) throws -> [String] {
    for name in names {
      guard case .only(let allowed) = meanings[name], let value = members[name], value != .null,
        !allowed.contains(where: value.isSame)
      else { continue }
      let supported = (["null"] + allowed.map(\.excerpt)).joined(separator: ", ")
      throw FieldProblem(
        "\(prefix)\(name) \(Self.shown(value)) is not supported; supported: \(supported)")
    }
    return names.filter { meanings[$0] == nil }.map { prefix + $0 }
  }

  /// A quantization is shown by its method; anything else as it is.
  private static func shown(_ value: JSONValue) -> String {
    if case .object(let members) = value, case .string(let method) = members["quant_method"] {
      return "(\(method))"
    }
    return value.excerpt
  }

  private func mismatch(_ name: String, _ value: JSONValue, _ expected: String) -> FieldProblem {
    FieldProblem("\(shown(name)) is \(value.excerpt); \(expected) was expected")
  }

  /// An integer.
  /// - Throws: `FieldProblem` for a value of another kind.
  public func integer(_ name: String) throws -> Int? {
    guard let value = self[name] else { return nil }
    guard let integer = value.integer else { throw mismatch(name, value, "an integer") }
    return integer
  }

  /// A finite number.
  /// - Throws: `FieldProblem` for a value of another kind.
  public func double(_ name: String) throws -> Double? {
    guard let value = self[name] else { return nil }
    guard let number = value.double else { throw mismatch(name, value, "a finite number") }
    return number
  }

  /// A finite number that single precision can hold (`Float.init(holding:)`).
  /// - Throws: `FieldProblem` for a value of another kind, or a number that would become another
  ///   one.
  public func float(_ name: String) throws -> Float? {
    guard let number = try double(name) else { return nil }
    guard let float = Float(holding: number) else {
      throw FieldProblem("\(shown(name)) is \(number), which single precision cannot hold")
    }
    return float
  }

  /// A truth value.
  /// - Throws: `FieldProblem` for a value of another kind.
  public func bool(_ name: String) throws -> Bool? {
    guard let value = self[name] else { return nil }
    guard case .bool(let truth) = value else { throw mismatch(name, value, "true or false") }
    return truth
  }

  /// A text.
  /// - Throws: `FieldProblem` for a value of another kind.
  public func string(_ name: String) throws -> String? {
    guard let value = self[name] else { return nil }
    guard case .string(let text) = value else { throw mismatch(name, value, "a string") }
    return text
  }

  /// The fields of an object within this one; nil where it is missing or empty.
  /// - Throws: `FieldProblem` for a value of another kind.
  public func object(_ name: String) throws -> ConfigurationFields? {
    guard let value = self[name] else { return nil }
    let fields = try ConfigurationFields(value, prefix: prefix + name + ".")
    return fields.members.isEmpty ? nil : fields
  }
}

extension Float {
  /// The nearest Float to a number; nil where it would be a number of another kind: infinite or
  /// zero for one that is not, or another integer.
  public init?(holding value: Double) {
    let nearest = Float(value)
    guard nearest.isFinite, nearest != 0 || value == 0 else { return nil }
    let isInteger = value.rounded() == value && value.magnitude < 0x1p53
    guard !isInteger || Double(nearest) == value else { return nil }
    self = nearest
  }
}
