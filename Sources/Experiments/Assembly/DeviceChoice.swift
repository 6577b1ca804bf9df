// The device of a rank: the one that an experiment names, or one of the node's GPUs in turn.

internal import Communication
internal import Configuration
internal import Files
internal import FineTuning
internal import Foundation
internal import Kernels
internal import OpenCLDevices

extension PreparedModel {
  /// Opens the device of a rank and tests that it computes the CPU's bits.
  ///
  /// - Returns: nil for the CPU, and what the user should know of it.
  /// - Throws: `CommandFailure` if there is no such device, or it cannot compute the experiment.
  func openDevice(
    _ experiment: Experiment, place: NodePlace
  ) throws -> (OpenCLDevice?, notice: String?) {
    let choice = experiment.compute.device
    guard choice != .cpu else { return (nil, nil) }
    do {
      if let reason = experiment.deviceReason ?? DeviceWeights.reasonAgainst(model) {
        throw DeviceRefusal(reason)
      }
      let devices = try matching(choice)
      let index = place.rank % devices.count
      let sharing = (place.size - index + devices.count - 1) / devices.count
      try checkMemory(of: devices[index], experiment, sharing: sharing)
      return (try OpenDevices.open(devices[index]), nil)
    } catch let error where choice == .auto {
      return (nil, "compute.device: auto takes the CPU, for \(error)")
    } catch {
      throw CommandFailure(ExitCode.usage, "compute.device: \(error)")
    }
  }

  /// The usable devices of a choice, of which a node's ranks take one each in turn.
  private func matching(_ choice: ComputeDevice) throws -> [OpenCLDescription] {
    let all = try openCLDevices()
    let found =
      switch choice {
      case .cpu: [OpenCLDescription]()
      case .gpu, .auto: all.filter(\.isGPU)
      case .named(let name):
        all.filter {
          ($0.name + "\n" + $0.platform).lowercased().contains(name.lowercased())
        }
      }
    guard !found.isEmpty else {
      let what = if case .named(let name) = choice { "OpenCL device called \(name)" } else { "GPU" }
      let others = all.map(\.name).joined(separator: ", ")
      throw DeviceRefusal(
        "this node has no \(what)"
          + (all.isEmpty ? "; no OpenCL driver is installed" : "; OpenCL finds \(others)"))
    }
    guard found.contains(where: { $0.reasonAgainst == nil }) else {
      throw DeviceRefusal("\(found[0].name) cannot compute: \(found[0].reasonAgainst ?? "")")
    }
    return found.filter { $0.reasonAgainst == nil }
  }

  private func checkMemory(
    of device: OpenCLDescription, _ experiment: Experiment, sharing: Int
  ) throws {
    let needed = sharing * deviceBytes(experiment)
    guard needed <= device.memoryBytes else {
      throw DeviceRefusal(
        "\(device.name) has \(byteText(device.memoryBytes)), and \(sharing) rank"
          + "\(sharing == 1 ? "" : "s") need \(byteText(needed)); lower compute.micro_batch_tokens,"
          + " or give the node fewer ranks")
    }
  }

  /// Bytes that a rank needs on a device.
  func deviceBytes(_ experiment: Experiment) -> Int {
    DeviceWeights.byteCount(
      model: model, layout: layout, task: task, capacity: capacity(experiment),
      longestSequence: longestSequence)
  }
}

extension Experiment {
  /// The reason for which no device computes the experiment, for `compute.device: auto`.
  fileprivate var deviceReason: String? {
    if compute.products != .own { return "compute.products is \(compute.products.rawValue)" }
    return compute.threads == 1 ? nil : "compute.threads is \(compute.threads)"
  }
}

/// A reason for which a device does not compute an experiment.
private struct DeviceRefusal: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// The devices that this process has opened; a sweep's runs use them again.
package enum OpenDevices {
  nonisolated(unsafe) private static var opened: [String: OpenCLDevice] = [:]

  /// Opens a device, once, and tests its kernels.
  /// - Throws: `DeviceError`, or an error of one line if a kernel gives other bits than the CPU.
  static func open(_ description: OpenCLDescription) throws -> OpenCLDevice {
    if let known = opened[description.line] {
      KernelDevices.use(known)
      return known
    }
    let device = try OpenCLDevice(description, cache: cache) { failure in
      FileHandle.standardError.write(
        Data("cellm-mpi: \(failure); go on with --resume from the last checkpoint\n".utf8))
      exit(ExitCode.hung)
    }
    KernelDevices.use(device)
    let differences = DeviceSelfTest.differences(on: device)
    guard differences.isEmpty else {
      throw DeviceRefusal(
        "\(description.line) gives other bits than the CPU in \(differences.count) of"
          + " \(DeviceSelfTest.cases.count) tests of kernels: "
          + differences.prefix(4).map(\.name).joined(separator: ", ")
          + (differences.count > 4 ? ", ..." : ""))
    }
    opened[description.line] = device
    return device
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
