"""Keep Composition, Record Run and Latent Frequency Mix: one large picture that is the small one, with more in it."""

from __future__ import annotations

from math import sqrt

from comfy_api.latest import io

from .menu import COHERENCE
from .types import Least, latent_samples, share_of_run

METHODS = ("structure", "skip residual", "flow", "pyramid")
FILTERS = ("resize", "haar", "butterworth")
Trajectory = io.Custom("TILEWORK_TRAJECTORY")


def _filter_inputs(what: str) -> list[io.Input]:
    return [
        io.Combo.Input(
            "filter",
            options=list(FILTERS),
            default=FILTERS[0],
            advanced=True,
            tooltip="How coarse and fine are told apart. resize: made smaller and larger again, smooth, right nearly always; haar: means of square cells, held exactly, which can show as faint squares; butterworth: by frequencies, without a border of its own, slower.",
        ),
        io.Float.Input(
            "cutoff",
            default=0.0,
            min=Least(0.0),
            max=1.0,
            step=0.01,
            advanced=True,
            tooltip=f"What counts as coarse, as a share of the picture's resolution: 0.25 is what a picture of a quarter of the width can show. 0 takes it from {what}. Lower leaves the model more freedom, higher holds more detail.",
        ),
    ]


class CanvasGuide(io.ComfyNode):
    """MODEL -> MODEL that keeps the composition of a small picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkCanvasGuide",
            display_name="Keep Composition",
            category=COHERENCE,
            description=(
                "Makes a large picture keep the composition of a small one: one sun stays one sun, while the tiles paint all the detail "
                "that a large picture can hold. At denoise 1.0 and with any prompt, where plain tiles would each paint their own scene."
            ),
            search_aliases=[
                "canvas guide",
                "structure guidance",
                "scalediff",
                "demofusion",
                "hiflow",
                "skip residual",
                "duplicate objects",
                "coherence",
                "hires fix",
            ],
            inputs=[
                io.Model.Input("model", tooltip="The model, before or after Tiled Sampling; for Latent Tile Denoise connect it there."),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default=METHODS[0],
                    tooltip="structure (ScaleDiff): the coarse of every prediction is led to the reference's; the best of the four, and free. skip residual (DemoFusion): what the sampler holds is mixed with the noised reference, strongly at first; softer, best together with Whole-Canvas Views; not for uni_pc and sa_solver. flow (HiFlow): the reference moves as the small run did; needs Record Run. pyramid: needs no reference: the model looks at the canvas in small at every step; costs one more call of the model's own size.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=Least(0.0),
                    max=1.0,
                    step=0.05,
                    tooltip="How firmly. 1.0 is right for most; 0 is off, and the picture is then the same to the bit as without this node.",
                ),
                share_of_run("start", 0.0, "From where in the sampling range it is at work; 0 is the beginning."),
                share_of_run(
                    "end",
                    0.8,
                    "To where in the sampling range; 1 is the end. The last fifth is left to the model, which paints the finest detail there.",
                ),
                *_filter_inputs("the sizes: the model's own over the canvas'"),
                io.Latent.Input(
                    "reference",
                    optional=True,
                    tooltip="The small picture: of the canvas' proportions, any size up to the canvas' (it is enlarged here). All methods but pyramid need it. For flow it is the LATENT of the very sampler that was recorded.",
                ),
                Trajectory.Input(
                    "trajectory",
                    optional=True,
                    tooltip="What Record Run wrote down of the small run, or Picture to Noise of a picture. Method flow needs it; skip residual follows that run's own states where one is connected; the others do without.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    "model",
                    display_name="model",
                    tooltip="The same model; connect it to Tiled Sampling, Latent Tile Denoise or any sampler. Another Keep Composition of another method may follow.",
                )
            ],
        )

    @classmethod
    def execute(cls, model, method, strength, start, end, filter, cutoff, reference=None, trajectory=None) -> io.NodeOutput:
        """Patch a clone."""
        from ..sampling.sampling_range import SamplingRange

        if method not in METHODS:
            raise ValueError(f"method {method!r} is not known: use one of {', '.join(METHODS)}")
        where = SamplingRange(start, end)
        if method == "pyramid":
            from ..sampling.pyramid import put_pyramid

            patched = model.clone()
            put_pyramid(patched, strength, where, filter, cutoff)
            return io.NodeOutput(patched)
        if reference is None:
            raise ValueError(f"method {method} needs the small picture: connect its LATENT to reference, or use method pyramid")
        samples = latent_samples(reference, "reference")
        from ..blending.pixels.picture import check_finite
        from ..models.native_size import native_size
        from ..sampling.canvas_guide import Guide, guided

        check_finite(samples, "reference", mend="sample it again")
        guide = Guide(
            method, samples, native_size(model).side, where, strength, filter, cutoff, trajectory if method != "structure" else None
        )
        return io.NodeOutput(guided(model, guide))


class RecordRun(io.ComfyNode):
    """MODEL -> MODEL that writes down its run."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkRecordRun",
            display_name="Record Run",
            category=COHERENCE,
            description=(
                "Writes down what a model predicts of the finished picture at every step, for method flow of Keep Composition: the large "
                "run then follows the way that the small one took. The picture itself is not changed."
            ),
            search_aliases=["trajectory", "hiflow", "record sampling", "x0 predictions", "flow guidance"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="The model that samples the small picture. Connect it before the small run's sampler alone."
                ),
            ],
            outputs=[
                io.Model.Output("model", display_name="model", tooltip="The same model, for the sampler of the small picture."),
                Trajectory.Output(
                    "trajectory",
                    display_name="trajectory",
                    tooltip="What was predicted at every step, for Keep Composition; connect that sampler's LATENT to its reference too. At most 128 MB of main memory; longer runs are thinned out.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model) -> io.NodeOutput:
        """Patch a clone."""
        from ..blending.coherence.trajectory import Trajectory as Recording
        from ..sampling.recording import recorded

        recording = Recording()
        return io.NodeOutput(recorded(model, recording), recording)


class LatentFrequencyMix(io.ComfyNode):
    """Two LATENTs -> the coarse of one under the fine of the other."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkLatentMix",
            display_name="Latent Frequency Mix",
            category=COHERENCE,
            description=(
                "Takes the fine detail of one latent and the coarse structure of another. For a reference that is sharp and true: detail from "
                "the enlarged picture, encoded; structure from the latent, enlarged as it is."
            ),
            search_aliases=["scalediff", "lfm", "frequency mix", "latent blend", "high pass low pass"],
            inputs=[
                io.Latent.Input("detail", tooltip="Its fine detail is taken, and its size, noise mask and all else that a latent carries."),
                io.Latent.Input(
                    "structure", tooltip="Its coarse structure is taken. Of the same proportions; a smaller one is enlarged (bicubic)."
                ),
                *_filter_inputs("the two sizes, a half at most"),
            ],
            outputs=[io.Latent.Output("latent", display_name="latent", tooltip="The mixed latent, of the size of detail.")],
        )

    @classmethod
    def execute(cls, detail, structure, filter, cutoff) -> io.NodeOutput:
        """Mix."""
        fine, coarse = latent_samples(detail, "detail"), latent_samples(structure, "structure")
        ratios = [latent.get("downscale_ratio_spacial") for latent in (detail, structure)]
        if None not in ratios and ratios[0] != ratios[1]:
            raise ValueError(
                f"detail has {ratios[0]} image pixels per cell and structure {ratios[1]}: connect two latents of the same model family"
            )
        from ..blending.frequency.low_pass import factor_of
        from ..blending.frequency.mix import mix
        from ..blending.pixels.picture import check_finite
        from ..sampling.guide_reference import enlarged, fitting_shape

        shape = fitting_shape(tuple(coarse.shape), tuple(fine.shape), "structure", "detail")
        for name, samples in (("detail", fine), ("structure", coarse)):
            check_finite(samples, name, mend="sample it again")
        larger = sqrt(fine.shape[-2] * fine.shape[-1] / (shape[-2] * shape[-1]))
        coarse = enlarged(coarse.to(fine.device, fine.dtype).reshape(shape), tuple(fine.shape))
        return io.NodeOutput({**detail, "samples": mix(fine, coarse, filter, factor_of(cutoff, larger, 1.0))})
