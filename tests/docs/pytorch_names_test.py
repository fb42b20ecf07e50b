"""The names of tandem in the tables of docs/for_pytorch_users.md exist: each word of code on the right is on a page of docs/api.
And each of the names of PyTorch that people use in their first week has a row, here or among what is absent.

usage: pytorch_names_test.py
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "for_pytorch_users.md"
# Words of the language, of the standard library, and names that the page itself chooses.
OWN = set("""x y v m n a b p d i fc net adam base schedule guard random mask ids step products float double true cout std const auto
    struct Net public step_ th part count environment""".split())
# dir(torch), torch.nn, torch.nn.functional, torch.optim and its lr_scheduler of PyTorch 2.15, without what is rarely used.
FIRST_WEEK = set("""tensor zeros ones full empty arange linspace eye zeros_like ones_like full_like empty_like rand randn randint
    randperm rand_like randn_like normal bernoulli multinomial manual_seed as_tensor from_numpy shape size ndim numel stride dtype
    device item tolist view reshape flatten ravel permute transpose T unsqueeze squeeze expand broadcast_to movedim swapaxes narrow
    unbind index_select gather scatter_add scatter index_add index_put_ take_along_dim masked_select cat concat stack split chunk
    hstack vstack repeat tile repeat_interleave flip roll pad tril triu one_hot nonzero meshgrid diag diagonal trace clone detach
    contiguous copy_ fill_ zero_ float cuda cpu add sub mul div neg where maximum minimum remainder clamp exp log log1p log2 log10
    expm1 sqrt rsqrt square pow abs sign floor ceil round trunc reciprocal sin cos tan tanh erf sigmoid isnan isinf isfinite allclose
    isclose nan_to_num lerp sum mean prod var std norm max min amax amin argmax argmin any all median quantile cumsum cumprod
    logsumexp topk sort argsort unique bincount searchsorted histc count_nonzero matmul bmm mm mv dot outer addmm einsum cdist
    relu gelu silu leaky_relu elu softplus softmax log_softmax linear embedding dropout normalize conv1d conv2d conv3d max_pool1d
    avg_pool1d adaptive_avg_pool2d interpolate layer_norm batch_norm group_norm rms_norm instance_norm pixel_shuffle unfold grid_sample
    scaled_dot_product_attention cross_entropy nll_loss binary_cross_entropy binary_cross_entropy_with_logits mse_loss l1_loss
    huber_loss smooth_l1_loss kl_div cosine_similarity triplet_margin_loss ctc_loss requires_grad_ backward grad no_grad
    inference_mode enable_grad Function gradcheck set_detect_anomaly register_hook Module Linear Conv1d Conv2d ConvTranspose2d
    Embedding Dropout Sequential BatchNorm1d LayerNorm GroupNorm RMSNorm InstanceNorm2d MaxPool2d AvgPool2d AdaptiveAvgPool2d
    MultiheadAttention TransformerEncoderLayer TransformerDecoderLayer RNN LSTM GRU ReLU GELU SiLU LeakyReLU Sigmoid Tanh Softmax
    PReLU Flatten Identity Upsample CrossEntropyLoss BCEWithLogitsLoss MSELoss L1Loss NLLLoss KLDivLoss SmoothL1Loss HuberLoss
    Parameter register_buffer ModuleList ModuleDict xavier_uniform_ kaiming_uniform_ normal_ parameters named_parameters state_dict
    load_state_dict train eval zero_grad SGD Adam AdamW RMSprop Adagrad LBFGS clip_grad_norm_ AveragedModel step CosineAnnealingLR
    StepLR MultiStepLR ExponentialLR LambdaLR LinearLR PolynomialLR SequentialLR CosineAnnealingWarmRestarts OneCycleLR CyclicLR
    ReduceLROnPlateau save save_file load_file autocast set_num_threads get_num_threads synchronize Stream CUDAGraph Dataset
    DataLoader TensorDataset random_split compile func linalg fft is_tensor finfo set_printoptions""".split())
api = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
known = set(re.findall(r"[A-Za-z_]\w*", api))
checked, wrong = 0, []
section = ""
for number, line in enumerate(PAGE.read_text().splitlines(), 1):
    if line.startswith("## "):
        section = line
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    if len(cells) != 2 or set(cells[1]) <= set("-") or "Recipe" in section:
        continue
    right = cells[0] if "on purpose" in section else cells[1]
    for code in re.findall(r"`([^`]+)`", right):
        if code.startswith(("docs/", "examples/", "tandem/")):
            if not (ROOT / code).exists() and not (ROOT / "include" / code).exists():
                wrong.append(f"line {number}: there is no {code}")
            continue
        for word in re.findall(r"[A-Za-z_]\w*", re.sub(r'"[^"]*"', "", code)):
            if word in OWN:
                continue
            checked += 1
            if word not in known:
                wrong.append(f"line {number}: `{code}`: no page of docs/api has {word}")
left = " ".join(re.split(r"(?<!\\)\|", line)[1] for line in PAGE.read_text().splitlines() if line.startswith("| "))
wrong += [f"no table of the page has PyTorch's {name} on the left" for name in sorted(FIRST_WEEK - set(re.findall(r"[A-Za-z_]\w*", left)))]
print("\n".join(wrong) or f"{checked} names are on pages of docs/api; {len(FIRST_WEEK)} of PyTorch have a row")
sys.exit(1 if wrong or checked < 150 else 0)
