// Curves of numbers as TensorBoard's event files: records of `Event` messages (event.proto beside this file).
// A file begins with its version. One that goes on after another, whose last points were taken back,
// says from which step: TensorBoard drops what it has read of those steps (SessionLog START).
internal import SwiftProtobuf

/// The bytes of event files.
public enum ScalarEvents {
  /// The first bytes of a file.
  ///
  /// - Parameters:
  ///   - wallTime: Seconds since 1970.
  ///   - firstStep: The step from which it goes on after another file; nil for the first file.
  public static func start(wallTime: Double, goingOnFrom firstStep: Int? = nil) throws -> [UInt8] {
    var version = TensorFlowEvent()
    version.wallTime = wallTime
    version.fileVersion = "brain.Event:2"
    guard let firstStep else { return try framed(version) }
    var session = TensorFlowEvent()
    session.wallTime = wallTime
    session.step = Int64(firstStep)
    session.sessionLog.status = .start
    return try framed(version) + framed(session)
  }

  /// The bytes of a step's points; those that are not finite are left out.
  public static func points(
    step: Int, wallTime: Double, _ scalars: [(tag: String, value: Double)]
  ) throws -> [UInt8] {
    var event = TensorFlowEvent()
    event.wallTime = wallTime
    event.step = Int64(step)
    event.summary.value = scalars.filter(\.value.isFinite).map { scalar in
      var value = TensorFlowSummary.Value()
      value.tag = scalar.tag
      value.simpleValue = Float(scalar.value)
      return value
    }
    return try framed(event)
  }

  /// A point of a curve.
  public struct Point: Sendable, Equatable {
    /// The step.
    public let step: Int
    /// The curve.
    public let tag: String
    /// The value.
    public let value: Float
  }

  /// All points of a file, in its order.
  /// - Throws: where a whole record is no event.
  public static func points(in bytes: [UInt8]) throws -> [Point] {
    try TFRecord.records(in: bytes).flatMap { record in
      let event = try TensorFlowEvent(serializedBytes: Array(record.data))
      return event.summary.value.map {
        Point(step: Int(event.step), tag: $0.tag, value: $0.simpleValue)
      }
    }
  }

  /// How many bytes of a file hold points of steps below `step` alone: where to cut it for a run that
  /// plays that step again.
  public static func length(of bytes: [UInt8], belowStep step: Int) throws -> Int {
    var end = 0
    for record in TFRecord.records(in: bytes) {
      let event = try TensorFlowEvent(serializedBytes: Array(record.data))
      if case .summary = event.what, event.step >= Int64(step) { break }
      end = record.end
    }
    return end
  }

  private static func framed(_ event: TensorFlowEvent) throws -> [UInt8] {
    TFRecord.framed(try event.serializedBytes())
  }
}
