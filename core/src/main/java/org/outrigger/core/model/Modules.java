package org.outrigger.core.model;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.pytorch.IValue;
import org.bytedeco.pytorch.JitModule;
import org.bytedeco.pytorch.NamedJitModule;
import org.bytedeco.pytorch.NamedTensor;
import org.bytedeco.pytorch.QualifiedNameOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.named_buffer_iterator;
import org.bytedeco.pytorch.named_buffer_list;
import org.bytedeco.pytorch.named_module_iterator;
import org.bytedeco.pytorch.named_module_list;
import org.bytedeco.pytorch.named_parameter_iterator;
import org.bytedeco.pytorch.named_parameter_list;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.torch.Scopes;

/** Walks over TorchScript modules; the tensors that it gives are handles that their user owns. */
final class Modules {
  private Modules() {}

  static Map<String, Tensor> parameters(JitModule module) {
    Map<String, Tensor> found = new LinkedHashMap<>();
    named_parameter_list list = module.named_parameters();
    named_parameter_iterator at = list.begin();
    for (long n = list.size(); n > 0; n--, at.increment()) {
      NamedTensor named = at.multiply();
      found.put(named.name().getString(), Scopes.own(named.value()));
    }
    return found;
  }

  static Map<String, Tensor> buffers(JitModule module) {
    Map<String, Tensor> found = new LinkedHashMap<>();
    named_buffer_list list = module.named_buffers();
    named_buffer_iterator at = list.begin();
    for (long n = list.size(); n > 0; n--, at.increment()) {
      NamedTensor named = at.multiply();
      found.put(named.name().getString(), Scopes.own(named.value()));
    }
    return found;
  }

  /** The normalisation layers: those that PyTorch calls so. */
  static List<Capabilities.NormLayer> norms(JitModule module) {
    List<Capabilities.NormLayer> found = new ArrayList<>();
    all(module)
        .forEach(
            (path, part) -> {
              String kind = kind(part);
              if (kind.matches(".*Norm(\\dd)?")
                  && (has(part, "weight") || has(part, "running_mean"))) {
                found.add(
                    new Capabilities.NormLayer(
                        path,
                        kind,
                        own(part, "weight"),
                        own(part, "bias"),
                        own(part, "running_mean"),
                        own(part, "running_var")));
              }
            });
    return found;
  }

  static void release(Capabilities.NormLayer layer) {
    Scopes.release(layer.weight());
    Scopes.release(layer.bias());
    Scopes.release(layer.runningMean());
    Scopes.release(layer.runningVar());
  }

  static List<Description.Layer> layers(JitModule module) {
    List<Description.Layer> found = new ArrayList<>();
    all(module)
        .forEach(
            (path, part) -> {
              long count = 0;
              named_parameter_list list = part.named_parameters(false);
              named_parameter_iterator at = list.begin();
              for (long n = list.size(); n > 0; n--, at.increment()) {
                count += at.multiply().value().numel();
              }
              found.add(new Description.Layer(path, kind(part), count));
            });
    return found;
  }

  static List<Description.Stored> tensors(Map<String, Tensor> tensors, boolean parameters) {
    return tensors.entrySet().stream()
        .map(
            e ->
                new Description.Stored(
                    e.getKey(), e.getValue().shape(), parameters && e.getValue().requires_grad()))
        .toList();
  }

  /** The tensor at a path that exists. */
  static Tensor attribute(JitModule module, String path) {
    JitModule at = module;
    String[] parts = path.split("\\.", -1);
    for (int i = 0; i + 1 < parts.length; i++) {
      at = new JitModule(at.attr(parts[i]).toObject());
    }
    return new Tensor(at.attr(parts[parts.length - 1]).toTensor());
  }

  /** The module and all in it by path; its own path is empty. */
  private static Map<String, JitModule> all(JitModule module) {
    Map<String, JitModule> found = new LinkedHashMap<>();
    named_module_list list = module.named_modules();
    named_module_iterator at = list.begin();
    for (long n = list.size(); n > 0; n--, at.increment()) {
      NamedJitModule named = at.multiply();
      BytePointer path = named.name();
      found.put(path == null ? "" : path.getString(), new JitModule(named.value()));
    }
    return found;
  }

  private static String kind(JitModule module) {
    QualifiedNameOptional type = module.type().name();
    return type.has_value() ? type.get().name().getString() : "Module";
  }

  private static boolean has(JitModule module, String attribute) {
    return module.hasattr(attribute) && module.attr(attribute).isTensor();
  }

  private static @Nullable Tensor own(JitModule module, String attribute) {
    if (!module.hasattr(attribute)) {
      return null;
    }
    IValue value = module.attr(attribute);
    return value.isTensor() && value.toTensor().defined() ? Scopes.own(value.toTensor()) : null;
  }
}
