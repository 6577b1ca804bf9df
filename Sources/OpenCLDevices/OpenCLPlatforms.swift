// The OpenCL devices of this machine.

internal import COpenCL

/// The reason for which a device does not compute, in one line.
public struct DeviceError: Error, CustomStringConvertible, Sendable {
  /// The line.
  public let description: String

  /// An error of this line.
  package init(_ description: String) { self.description = description }
}

/// A device of an OpenCL platform, not yet opened.
public struct OpenCLDescription: Sendable {
  /// The name of the platform, for example "NVIDIA CUDA".
  public let platform: String
  /// The name of the device.
  public let name: String
  /// The versions of OpenCL and of the driver.
  public let version: String
  /// Whether it is a GPU or an accelerator, not a CPU.
  public let isGPU: Bool
  /// Bytes of its memory.
  public let memoryBytes: Int
  /// The most bytes of one allocation.
  public let largestAllocation: Int
  /// The reason for which it cannot compute the bits of the CPU; nil if it can.
  public let reasonAgainst: String?

  nonisolated(unsafe) let device: COCLDevice

  fileprivate init(_ device: COCLDevice) {
    self.device = device
    platform = text(device.platform_name)
    name = text(device.name)
    version = "\(text(device.version)), driver \(text(device.driver))"
    isGPU = device.is_gpu != 0
    memoryBytes = Int(clamping: device.memory_bytes)
    largestAllocation = Int(clamping: device.largest_allocation)
    reasonAgainst =
      if device.has_fma == 0 {
        "it has no fused multiply-add in fp32"
      } else if device.has_subnormals == 0 {
        "it flushes subnormal numbers to zero"
      } else if device.rounds_division == 0 {
        "it does not round division and square root correctly"
      } else if device.largest_group < 256 {
        "its work-groups have at most \(device.largest_group) work-items; 256 are needed"
      } else {
        nil
      }
  }

  /// What tells equal devices of a machine apart.
  public var identifier: UInt { UInt(bitPattern: device.device) }

  /// Whether the name of the device or of its platform contains a word, in capitals or not.
  public func isCalled(_ word: String) -> Bool {
    (name + "\n" + platform).lowercased().contains(word.lowercased())
  }

  /// In one line.
  public var line: String { "\(name) (\(platform), \(version))" }
}

/// The OpenCL devices of this machine, in the order of their platforms.
/// - Throws: `DeviceError` if there is no OpenCL library, or a platform fails.
public func openCLDevices() throws -> [OpenCLDescription] {
  var found = [COCLDevice](repeating: COCLDevice(), count: 64)
  var count: Int32 = 0
  let code = cocl_devices(&found, Int32(found.count), &count)
  guard code == 0 else {
    throw DeviceError(
      code == Int32(COCL_NO_LIBRARY)
        ? "this machine has no OpenCL library (libOpenCL.so.1)"
        : "OpenCL's devices cannot be listed: \(openCLError(code))")
  }
  return found.prefix(Int(count)).map { OpenCLDescription($0) }
}

/// An error of OpenCL by its name and number (OpenCL 1.2, appendix of cl.h).
func openCLError(_ code: Int32) -> String {
  let names: [Int32: String] = [
    -1: "no device", -2: "the device is not available", -3: "no compiler",
    -4: "the device's memory is too small (CL_MEM_OBJECT_ALLOCATION_FAILURE)",
    -5: "the device is out of resources (CL_OUT_OF_RESOURCES)",
    -6: "the host's memory is too small (CL_OUT_OF_HOST_MEMORY)",
    -11: "the kernels do not compile (CL_BUILD_PROGRAM_FAILURE)",
    -36: "the device was lost (CL_INVALID_COMMAND_QUEUE)",
    -61: "an allocation is larger than the device permits (CL_INVALID_BUFFER_SIZE)",
    2: "the OpenCL library lacks a function of OpenCL 1.2",
  ]
  return names[code] ?? "OpenCL error \(code)"
}

/// The text of a C array of characters that ends in a zero.
private func text<Characters>(_ characters: Characters) -> String {
  withUnsafeBytes(of: characters) { bytes in
    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }.split(whereSeparator: \.isNewline).joined(separator: " ")
}
