// The devices that a process has opened, each tested once; and the list of a machine's devices.

internal import Files
internal import Foundation
internal import Kernels
internal import OpenCLDevices

/// The devices that this process has opened; a sweep's runs use them again.
enum OpenDevices {
  nonisolated(unsafe) private static var opened: [UInt: OpenCLDevice] = [:]
  /// Whether a run is prepared: then it has a state to go on from.
  nonisolated(unsafe) static var hasBegun = false

  /// Opens a device, once, and tests its kernels.
  /// - Throws: `DeviceError` if it cannot be opened, or a kernel gives other bits than the CPU.
  static func open(_ description: OpenCLDescription) throws -> OpenCLDevice {
    hasBegun = false
    if let known = opened[description.identifier] {
      KernelDevices.use(known)
      return known
    }
    var device = try OpenCLDevice(description, cache: cache, onFailure: endProcess)
    KernelDevices.use(device)
    var differences = DeviceSelfTest.differences(on: device)
    if !differences.isEmpty, device.isFromCache {
      // The driver may be another one than that which compiled them.
      device = try OpenCLDevice(
        description, cache: cache, readsCache: false, onFailure: endProcess)
      KernelDevices.use(device)
      differences = DeviceSelfTest.differences(on: device)
    }
    guard differences.isEmpty else {
      throw DeviceError(
        "\(description.line) gives other bits than the CPU in \(differences.count) of"
          + " \(DeviceSelfTest.cases.count) tests of kernels: "
          + differences.prefix(4).map(\.name).joined(separator: ", ")
          + (differences.count > 4 ? ", ..." : ""))
    }
    opened[description.identifier] = device
    return device
  }

  /// Ends the process at once: MPI and the driver may hang by now.
  private static func endProcess(_ failure: String) -> Never {
    let advice = hasBegun ? "; go on with --resume from the last checkpoint" : ""
    writeToStandardError("cellm-mpi: compute.device: \(failure)\(advice)\n")
    _exit(hasBegun ? ExitCode.hung : ExitCode.usage)
  }

  /// Where compiled kernels are kept.
  private static var cache: ProgramCache {
    let environment = ProcessInfo.processInfo.environment
    let base =
      environment["XDG_CACHE_HOME"].flatMap { $0.isEmpty ? nil : $0 }
      ?? NSHomeDirectory() + "/.cache"
    return ProgramCache(folder: base + "/cellm-mpi/kernels")
  }
}

/// The OpenCL devices of this machine as a table, each tested if it can compute.
/// - Throws: `DeviceError` if OpenCL's devices cannot be listed.
package func devicesReport() throws -> String {
  let devices = try openCLDevices()
  guard !devices.isEmpty else { return "no OpenCL device: no driver is installed\n" }
  let rows = devices.map { device in
    [
      device.name, device.platform, device.isGPU ? "GPU" : "CPU", byteText(device.memoryBytes),
      state(of: device),
    ]
  }
  return alignedText([["device", "platform", "kind", "memory", "state"]] + rows)
}

/// Whether a device computes the bits of the CPU.
private func state(of device: OpenCLDescription) -> String {
  if let reason = device.reasonAgainst { return "cannot be used: \(reason)" }
  do {
    _ = try OpenDevices.open(device)
    return "gives the bits of the CPU in \(DeviceSelfTest.cases.count) tests of kernels"
  } catch {
    return "cannot be used: \("\(error)".split(separator: "\n").first ?? "")"
  }
}
