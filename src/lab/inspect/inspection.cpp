#include "sluice/lab/inspect/inspection.hpp"

#include <cmath>

#include "codecs.hpp"
#include "result_file.hpp"
#include "sluice/base/detail/json.hpp"

namespace sluice {
namespace {

constexpr ResultFile inspection_file{inspect_format_version, "inspection"};

const FieldTable& gate_fields() {
  static const FieldTable table =
      FieldsOf<GateOpenness>()
          .add("of", &GateOpenness::of)
          .add("mean", &GateOpenness::mean, number_or_null())
          .add("saturated_share", &GateOpenness::saturated_share, number_or_null())
          .add("histogram", &GateOpenness::histogram, list_of(number_or_null()));
  return table;
}

FieldCodec<GateOpenness> gate_codec() {
  return checked<GateOpenness>(complete<GateOpenness>(gate_fields()),
                               [](const GateOpenness& gate, const FieldPlace& place) {
                                 if (gate.histogram.size() != gate_bins) {
                                   place.field("histogram").refuse("must be a list of 20 shares");
                                 }
                               });
}

const FieldTable& activation_fields() {
  static const FieldTable table =
      FieldsOf<ActivationMoments>()
          .add("mean", &ActivationMoments::mean, number_or_null())
          .add("variance", &ActivationMoments::variance, number_or_null());
  return table;
}

const FieldTable& gradient_fields() {
  static const FieldTable table =
      FieldsOf<LayerGradient>()
          .add("norm", &LayerGradient::norm, number_or_null())
          .add("linear_share", &LayerGradient::linear_share, number_or_null())
          .add("gate_share", &LayerGradient::gate_share, number_or_null())
          .add("linear_gain", &LayerGradient::linear_gain, number_or_null())
          .add("gate_gain", &LayerGradient::gate_gain, number_or_null())
          .add("lost_share", &LayerGradient::lost_share, {.optional = true})
          .only_if([](const LayerGradient& gradient) { return !std::isnan(gradient.lost_share); });
  return table;
}

const FieldTable& layer_fields() {
  static const FieldTable table =
      FieldsOf<LayerInspection>()
          .add("name", &LayerInspection::name)
          .add("unit", &LayerInspection::unit)
          .add("gate", &LayerInspection::gate, optional_of(gate_codec()))
          .add("activation", &LayerInspection::activation,
               complete<ActivationMoments>(activation_fields()))
          .add("dead_share", &LayerInspection::dead_share, number_or_null())
          .add("negative_share", &LayerInspection::negative_share, {.optional = true})
          .only_if([](const LayerInspection& layer) { return !std::isnan(layer.negative_share); })
          .add("zero_share", &LayerInspection::zero_share, {.optional = true})
          .only_if([](const LayerInspection& layer) { return !std::isnan(layer.zero_share); })
          .add("gradient", &LayerInspection::gradient, complete<LayerGradient>(gradient_fields()))
          .add("gates", &LayerInspection::gates, list_of(gate_codec()), {.optional = true})
          .only_if([](const LayerInspection& layer) { return !layer.gates.empty(); });
  return table;
}

FieldCodec<std::vector<LayerInspection>> layers_codec() {
  return list_of(complete<LayerInspection>(layer_fields()));
}

FieldCodec<LagGradients> lags_codec() {
  static const FieldTable table = FieldsOf<LagGradients>()
                                      .add("k", &LagGradients::k)
                                      .add("norm", &LagGradients::norm, list_of(number_or_null()))
                                      .add("positions", &LagGradients::positions);
  return checked<LagGradients>(
      complete<LagGradients>(table), [](const LagGradients& lags, const FieldPlace& place) {
        require_same_length(place, {{"k", lags.k.size()}, {"norm", lags.norm.size()}});
      });
}

FieldCodec<ContextLosses> context_codec() {
  static const FieldTable table =
      FieldsOf<ContextLosses>()
          .add("tokens", &ContextLosses::tokens)
          .add("loss", &ContextLosses::loss, list_of(number_or_null()))
          .add("perplexity", &ContextLosses::perplexity, list_of(number_or_null()))
          .add("positions", &ContextLosses::positions);
  return checked<ContextLosses>(
      complete<ContextLosses>(table), [](const ContextLosses& context, const FieldPlace& place) {
        require_same_length(place, {{"tokens", context.tokens.size()},
                                    {"loss", context.loss.size()},
                                    {"perplexity", context.perplexity.size()}});
      });
}

FieldCodec<std::vector<LabelGates>> label_gates_codec() {
  static const FieldTable channel = FieldsOf<GateChannel>()
                                        .add("channel", &GateChannel::channel)
                                        .add("from", &GateChannel::from, number_or_null())
                                        .add("to", &GateChannel::to, number_or_null());
  const auto channels = list_of(complete<GateChannel>(channel));
  static const FieldTable table =
      FieldsOf<LabelGates>()
          .add("label", &LabelGates::label)
          .add("layer", &LabelGates::layer)
          .add("gate", &LabelGates::gate)
          .add("mean", &LabelGates::mean, number_or_null())
          .add("unknown_mean", &LabelGates::unknown_mean, number_or_null())
          .add("opened", &LabelGates::opened, channels)
          .add("shut", &LabelGates::shut, channels);
  return list_of(complete<LabelGates>(table));
}

FieldCodec<EmbeddedInspection> embedded_codec() {
  static const FieldTable gradient =
      FieldsOf<EmbeddedGradient>().add("norm", &EmbeddedGradient::norm, number_or_null());
  static const FieldTable table = FieldsOf<EmbeddedInspection>().add(
      "gradient", &EmbeddedInspection::gradient, complete<EmbeddedGradient>(gradient));
  return complete<EmbeddedInspection>(table);
}

FieldCodec<InspectedModel> model_codec() {
  static const FieldTable table = FieldsOf<InspectedModel>()
                                      .add("summary", &InspectedModel::summary)
                                      .add("parameters", &InspectedModel::parameters)
                                      .add("receptive_field", &InspectedModel::receptive_field)
                                      .add("config", &InspectedModel::config, any_value());
  return complete<InspectedModel>(table);
}

FieldCodec<InspectedText> text_codec_of_inspection() {
  static const FieldTable table = FieldsOf<InspectedText>()
                                      .add("file", &InspectedText::file)
                                      .add("tokens", &InspectedText::tokens);
  return complete<InspectedText>(table);
}

FieldCodec<TokenSurprisal> surprisal_codec() {
  static const FieldTable table = FieldsOf<TokenSurprisal>()
                                      .add("text", &TokenSurprisal::text)
                                      .add("nats", &TokenSurprisal::nats, number_or_null());
  return complete<TokenSurprisal>(table);
}

FieldCodec<Inspection> inspection_codec() {
  static const FieldTable table =
      FieldsOf<Inspection>()
          .add("format_version", &Inspection::format_version)
          .add("version", &Inspection::version)
          .add("date", &Inspection::date)
          .add("model", &Inspection::model, model_codec())
          .add("text", &Inspection::text, text_codec_of_inspection())
          .add("probed_tokens", &Inspection::probed_tokens)
          .add("loss", &Inspection::loss, number_or_null())
          .add("layers", &Inspection::layers, optional_of(layers_codec()))
          .add("embedded", &Inspection::embedded, optional_of(embedded_codec()))
          .add("lags", &Inspection::lags, optional_of(lags_codec()))
          .add("context", &Inspection::context, optional_of(context_codec()))
          .add("labels", &Inspection::labels, label_gates_codec(), {.optional = true})
          .only_if([](const Inspection& inspection) { return !inspection.labels.empty(); })
          .add("surprisal", &Inspection::surprisal, list_of(surprisal_codec()));
  return complete<Inspection>(table);
}

}  // namespace

Value layers_value(const std::vector<LayerInspection>& layers) {
  return layers_codec().write(layers);
}
Value lags_value(const LagGradients& lags) { return lags_codec().write(lags); }
Value context_value(const ContextLosses& context) { return context_codec().write(context); }

std::vector<LayerInspection> layers_from(const Value& value, const FieldPlace& place) {
  return layers_codec().read(value, place);
}
LagGradients lags_from(const Value& value, const FieldPlace& place) {
  return lags_codec().read(value, place);
}
ContextLosses context_from(const Value& value, const FieldPlace& place) {
  return context_codec().read(value, place);
}

std::string inspection_json(const Inspection& inspection) {
  return json_text(inspection_codec().write(inspection), 1) + "\n";
}

Inspection parse_inspection(std::string_view text, const std::string& name) {
  return parse_result(text, name, inspection_file, inspection_codec());
}

}  // namespace sluice
